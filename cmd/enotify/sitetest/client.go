package sitetest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
)

// Bring hands a mail to the listener as a mail server does, and returns the
// code of the last reply: the reply to RCPT when it refuses.
func (s *Site) Bring(addr, from, to, mail string) int {
	s.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	text := textproto.NewConn(c)
	code, _, err := text.ReadResponse(0)
	for _, command := range []string{"EHLO mx.test", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA",
		strings.ReplaceAll(mail, "\n", "\r\n") + "\r\n."} {
		if err == nil && code < 400 {
			if err = text.PrintfLine("%s", command); err == nil {
				code, _, err = text.ReadResponse(0)
			}
		}
	}
	if err != nil {
		s.Fatalf("bring a mail to %s: %v", to, err)
	}
	return code
}

// Request sends a form, and returns the answer.
func Request(t testing.TB, method, address string, form url.Values) (code int, header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// Gone is what a mail server writes to a return path when it finds later that
// a recipient does not exist.
func Gone(returnPath, recipient string) string {
	return fmt.Sprintf(`From: Mail Delivery System <MAILER-DAEMON@mx.test>
To: %[1]s
Subject: This came back
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=r

--r
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; %[2]s
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <%[2]s>: user unknown

--r
Content-Type: text/rfc822-headers

Return-Path: <%[1]s>
To: <%[2]s>

--r--`, returnPath, recipient)
}
