package tlsrpt

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

// postTimeout is for one report.
const postTimeout = 30 * time.Second

// Post hands a report over by HTTPS (RFC 8460 §5.4), over connections from dial. The
// certificate is not checked, as §3 allows: a domain whose certificate has expired
// is to learn just that.
func Post(ctx context.Context, dial func(ctx context.Context, host, port string) (net.Conn, error), page string,
	report []byte) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	client := http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				return dial(ctx, host, port)
			},
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, page, bytes.NewReader(report))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", MediaType)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // only the status counts
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", page, resp.Status)
	}
	return nil
}
