package submit

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue"
)

// A Problem is the body of an answer that is no success (RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return p.Detail }

func problem(status int, detail string) error {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

// asProblem sorts errors by what the caller can do about them.
func asProblem(err error) *Problem {
	var is *Problem
	var refused *queue.Refusal
	var missing *queue.Problem
	var no *pgconn.PgError
	switch {
	case errors.As(err, &is):
		return is
	case errors.Is(err, queue.ErrToken):
		err = problem(http.StatusUnauthorized, "the token is not known, or retired")
	case errors.As(err, &missing) && errors.Is(err, queue.ErrNotFound):
		err = problem(http.StatusNotFound, missing.Error()+"; a token sees the batches of its clients")
	case errors.As(err, &refused) && errors.As(err, &no):
		err = problem(statusOf(no.Code), refused.Error())
	default:
		err = problem(http.StatusServiceUnavailable,
			"the database did not take it; send the request again with the same Idempotency-Key")
	}
	errors.As(err, &is)
	return is
}

// statusOf maps what our SQL functions answer.
func statusOf(code string) int {
	switch {
	case code == "42501": // insufficient_privilege
		return http.StatusForbidden
	case code == "P0002", code == "23503": // no_data_found, foreign_key_violation: no such batch
		return http.StatusNotFound
	case code == "55000": // object_not_in_prerequisite_state
		return http.StatusConflict
	case code == "53400": // configuration_limit_exceeded
		return http.StatusTooManyRequests
	case code[:2] == "22", code[:2] == "23", code[:2] == "54": // data, constraints, program limits
		return http.StatusUnprocessableEntity
	}
	return http.StatusServiceUnavailable
}

// refuse answers with a problem. What is left of the body is not read, but that the server
// reads some of it itself before it closes the connection: for that there is a second.
func (d *Door) refuse(w http.ResponseWriter, q *http.Request, err error) {
	p := asProblem(err)
	if p.Status >= 500 {
		d.Log.Warn("a batch could not be taken over HTTP", "path", q.URL.Path, "error", err)
	}
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
	write(w, "application/problem+json", p.Status, p)
}

func write(w http.ResponseWriter, kind string, status int, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Second))
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
