package localpg

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Verifier is what PostgreSQL keeps of a password (SCRAM-SHA-256, RFC 5803), for a
// password as random as a key. It is derived in one iteration: the 4,096 that
// PostgreSQL takes by itself slow down whoever guesses a person's password, and
// every connection of ours.
func Verifier(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	salted := sum([]byte(password), string(salt)+"\x00\x00\x00\x01")
	stored := sha256.Sum256(sum(salted, "Client Key"))
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$1:%s$%s:%s", text(salt), text(stored[:]), text(sum(salted, "Server Key")))
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
