package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// NewSecret makes the key of a webhook, and the form in which its receiver is told.
func NewSecret() (secret []byte, shown string) {
	secret = make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secret, "whsec_" + base64.StdEncoding.EncodeToString(secret)
}

// Signature is the value of webhook-signature.
func Signature(secret []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
