package queue

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// What can be wrong with a thing that the caller named. A [Problem] wraps one of
// them and says which thing.
var (
	ErrNotFound   = errors.New("not found")
	ErrExists     = errors.New("exists already")
	ErrUnfinished = errors.New("has batches that are not finished")
	ErrRecorded   = errors.New("has finished batches")
	ErrNotUrgent  = errors.New("cannot be urgent") // a pool
	ErrOperator   = errors.New("is an operator's; a token is for the login of an application")
	ErrNotApp     = errors.New("may not enqueue") // a login
)

// ErrDenied says that a table, view or function is not for this login.
var ErrDenied = errors.New("this login may not do that")

// A Noun is a kind of thing that a Problem is about.
type Noun string

// The nouns of problems.
const (
	NounBatch       Noun = "batch"
	NounClient      Noun = "client"
	NounEgress      Noun = "egress"
	NounPool        Noun = "pool"
	NounWarmup      Noun = "warm-up of" // an address
	NounLogin       Noun = "login"
	NounLimits      Noun = "limits of"           // a destination
	NounLearned     Noun = "what was learned of" // a site
	NounSuppression Noun = "suppression of"      // an address
	NounTokenKey    Noun = "key"
	NounRecipient   Noun = "recipient"
	NounWebhook     Noun = "webhook"
	NounToken       Noun = "token"
	NounRetention   Noun = "kind of data"
)

// A Problem is an error about a thing that the caller named. What to do about it
// is for the caller to say, in the words of its own interface.
type Problem struct {
	Noun Noun
	Name string // its number, domain, address or login
	Err  error  // ErrNotFound and so on

	Batches int      // of a client that cannot be removed
	Logins  []string // that a client has already
	Client  string   // whose suppression was asked for; "" is that for all clients
	// the address is not suppressed in this way; it is suppressed for this client, or with "" for all
	Elsewhere *string
}

func (p *Problem) Error() string {
	what := string(p.Noun) + " " + p.Name
	switch {
	case errors.Is(p.Err, ErrNotFound):
		if p.Client != "" {
			what += " for " + p.Client
		}
		what += ": not found"
		if p.Elsewhere != nil {
			what += "; it is suppressed for " + cmp.Or(*p.Elsewhere, "all clients")
		}
		return what
	case p.Noun == NounSuppression && errors.Is(p.Err, ErrExists):
		return p.Name + " is suppressed for good already"
	case p.Batches > 0:
		return fmt.Sprintf("%s %v (%d)", what, p.Err, p.Batches)
	case len(p.Logins) > 0:
		return fmt.Sprintf("%s %v, tied to %s", what, p.Err, strings.Join(p.Logins, ", "))
	}
	return what + " " + p.Err.Error()
}

func (p *Problem) Unwrap() error { return p.Err }

// NotFound is the [Problem] of a thing that is not there.
func NotFound(noun Noun, name any) error {
	return &Problem{Noun: noun, Name: fmt.Sprint(name), Err: ErrNotFound}
}

// A Refusal is a rule of the schema that was broken, in one line for people. Other
// errors of PostgreSQL come this way too, without the noise around them.
type Refusal struct {
	text  string
	cause error // what PostgreSQL answered, a *denied, or a *Problem
}

func (r *Refusal) Error() string { return r.text }
func (r *Refusal) Unwrap() error { return r.cause }

// rules says in words what the constraints are for that people run into.
var rules = map[string]string{
	"batch_idem_key_check":            "the key has no character or more than 200",
	"batch_from_address_check":        "the from address holds a line break or is longer than 254 characters",
	"batch_lang_check":                "lang is no language tag: want one such as de, fr or pt-BR",
	"batch_from_name_check":           "the from name holds a line break or other control character, or is longer than 200 characters",
	"batch_reply_to_check":            "the reply-to address holds a line break or is longer than 254 characters",
	"batch_subject_check":             "the subject holds a tab, line break or other control character, or is longer than 900 characters",
	"batch_headers_check":             "the header fields are no JSON object of names and values, hold a control character, or take more than 32 KiB",
	"batch_body_text_check":           "the text is larger than 2 MiB",
	"batch_body_html_check":           "the HTML is larger than 2 MiB",
	"batch_list_unsubscribe_check":    "list-unsubscribe is no https: or mailto: URI of up to 800 characters without spaces and angle brackets",
	"batch_not_before_check":          "not_before is a time outside of the years 2000 to 9999",
	"batch_expires_at_check":          "expires_at is a time outside of the years 2000 to 9999",
	"batch_on_unknown_check":          "on_unknown is hold or resend",
	"client_over_quota_check":         "over is wait or refuse",
	"attachment_filename_check":       "the file name of an attachment is empty, longer than 200 characters, or holds a quote, slash or control character",
	"attachment_content_type_check":   "the content type of an attachment is no media type",
	"attachment_content_id_check":     "the content id of an attachment holds a space or angle bracket, or is longer than 200 characters",
	"attachment_n_check":              "a batch has at most 20 attachments",
	"attachment_content_check":        "an attachment is larger than 25 MiB",
	"batch_pruned_check":              "the batch was pruned: whom it went to is not known any more",
	"suppression_address_check":       "the address is longer than 320 characters",
	"event_setting_keep_check":        "events are kept for an hour at least",
	"webhook_url_check":               "the URL of a webhook is no http: or https: URL, or longer than 2000 characters",
	"pool_name_check":                 "the name of a pool is lower-case letters, digits, dots and dashes, at most 63 of them",
	"egress_helo_check":               "the name at EHLO is no host name",
	"egress_note_check":               "a note has at most 500 characters",
	"egress_reason_check":             "a reason has at most 500 characters",
	"destination_rate_messages_check": "a rate is not negative",
	"client_return_path_check":        "the return path is no address of up to 254 characters",
	"client_dkim_selectors_check":     "a client has at most 4 DKIM selectors, of letters, digits, hyphens and dots",
	"client_bounce_domain_check":      "the bounce domain is no domain name of up to 189 characters",
	"client_domain_check":             "the client is no domain name",
	"client_max_priority_check":       "the highest priority of a client is 0 or more",
}

// denied is an insufficient privilege, as PostgreSQL has it.
type denied struct{ *pgconn.PgError }

func (d *denied) Is(target error) bool { return target == ErrDenied }
func (d *denied) Unwrap() error        { return d.PgError }

// AsRefusal makes a Refusal of what PostgreSQL answered, with the words that were
// put before it. Other errors stay as they are.
func AsRefusal(err error) error {
	var no *pgconn.PgError
	if done := (*Refusal)(nil); errors.As(err, &done) || !errors.As(err, &no) {
		return err
	}
	r := &Refusal{text: no.Message, cause: err}
	text, known := rules[no.ConstraintName]
	switch {
	case known:
		r.text = text
	case no.Code == "23514" && no.ConstraintName != "": // check_violation, by none of our functions
		r.text = "a value for the table " + no.TableName + " is not allowed there"
	}
	switch {
	case no.Hint != "":
		r.text += "; " + no.Hint
	case no.Code == "55P03": // lock_not_available
		r.text = "another session has locked what this needs"
	case no.Code == "57014": // query_canceled
		r.text = "the database ended the statement early (statement_timeout, or pg_cancel_backend)"
	case no.Code == "42501" && no.Routine != "exec_stmt_raise": // insufficient_privilege, and none of our functions says why
		r.text = "this login may not do that"
		r.cause = &denied{no}
	case no.Code == "P0002": // no_data_found: enotify.my_batch()
		r.cause = &Problem{Noun: NounBatch, Err: ErrNotFound}
	case slices.Contains(missing, no.Code):
		r.text += "; the schema is not the one of this enotify: enotify migrate"
	}
	r.text = strings.Replace(err.Error(), no.Error(), r.text, 1)
	return r
}

// missing are the codes of what a schema lacks: undefined_table, undefined_column,
// undefined_function, invalid_schema_name.
var missing = []string{"42P01", "42703", "42883", "3F000"}
