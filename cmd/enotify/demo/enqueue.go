package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
)

// An application enqueues what is to be sent. It has a login with the role
// enotify_app, and knows nothing else of enotify. It shows the SQL that it runs.
type application struct {
	conn *pgx.Conn
	show io.Writer
}

const (
	createSQL = `SELECT enotify.create_batch(
      idem_key => $1, from_address => $2,
      from_name => $3,
      subject => $4,
      body_text => $5, body_html => $6)`
	copySQL    = `COPY enotify.recipient_in (batch_id, address, data) FROM STDIN`
	submitSQL  = `SELECT enotify.submit_batch($1, expected => $2)`
	enqueueSQL = `SELECT enotify.enqueue(
      idem_key => $1, priority => $2,
      from_address => $3,
      subject => $4,
      body_text => $5,
      addresses => $6,
      data => $7)`
)

// stage enqueues a batch the way for many recipients: create, COPY, submit.
func (a *application) stage(ctx context.Context, b batch) error {
	id, err := a.call(ctx, createSQL, b.key, b.from, b.fromName, b.subject, b.text, b.html)
	if err != nil {
		return err
	}
	a.answer("batch %d", id)
	a.statement(copySQL)
	n, err := a.conn.CopyFrom(ctx, pgx.Identifier{"enotify", "recipient_in"}, []string{"batch_id", "address", "data"},
		pgx.CopyFromSlice(len(b.recipients), func(i int) ([]any, error) {
			return []any{id, b.recipients[i].Address, b.recipients[i].Data}, nil
		}))
	if err != nil {
		return err
	}
	a.answer("%s", figures.Some(int(n), "row"))
	total, err := a.call(ctx, submitSQL, id, n)
	if err != nil {
		return err
	}
	a.answer("%s; %d repeated an address", figures.Some(total, "recipient"), int(n)-total)
	return nil
}

// enqueue does it in one call, the way for few recipients.
func (a *application) enqueue(ctx context.Context, b batch) error {
	addresses, data := make([]string, len(b.recipients)), make([]json.RawMessage, len(b.recipients))
	for i, r := range b.recipients {
		addresses[i], data[i] = r.Address, r.Data
	}
	id, err := a.call(ctx, enqueueSQL, b.key, b.priority, b.from, b.subject, b.text, addresses, data)
	if err == nil {
		a.answer("batch %d", id)
	}
	return err
}

func (a *application) call(ctx context.Context, sql string, args ...any) (result int, err error) {
	a.statement(sql, args...)
	return result, a.conn.QueryRow(ctx, sql, args...).Scan(&result)
}

// statement shows SQL as one would type it, with long values cut short.
func (a *application) statement(sql string, args ...any) {
	sql = parameter.ReplaceAllStringFunc(sql, func(p string) string {
		n, _ := strconv.Atoi(p[1:]) // the expression lets nothing else through
		return literal(args[n-1])
	})
	fmt.Fprintf(a.show, "  %s;\n", sql)
}

func (a *application) answer(format string, args ...any) {
	fmt.Fprintf(a.show, "  -- "+format+"\n", args...)
}

var parameter = regexp.MustCompile(`\$[1-9]`)

func literal(value any) string {
	switch v := value.(type) {
	case string:
		line, _, more := strings.Cut(v, "\n")
		if more {
			line += "…"
		}
		return "'" + strings.ReplaceAll(term.Clip(line, 32), "'", "''") + "'"
	case []string:
		return fmt.Sprintf("ARRAY[%s, … %s addresses]", literal(v[0]), figures.Count(len(v)))
	case []json.RawMessage:
		return fmt.Sprintf("ARRAY[%s, …]::jsonb[]", literal(string(v[0])))
	default:
		return fmt.Sprint(v)
	}
}
