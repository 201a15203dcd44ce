package submit

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"enotify/queue"
	"enotify/sender/compose"
)

// create makes a batch, stages its recipients and submits it: all or nothing.
func (d *Door) create(g *guest, w http.ResponseWriter, q *http.Request) error {
	key := q.Header.Get("Idempotency-Key")
	if key == "" {
		return problem(http.StatusBadRequest,
			"send the header Idempotency-Key: your name for the batch, by which a repeated request is known")
	}
	var made queue.Created
	var s queue.Status
	plan := func(b *body) (deed, error) {
		f, err := b.batch(q)
		if err != nil {
			return nil, err
		}
		draft := f.draft(key)
		if err := compose.Check(&draft.Batch); err != nil {
			return nil, problem(http.StatusUnprocessableEntity, err.Error())
		}
		draft.Submit = b.listed && !f.Draft && !f.Ready
		listed := b.listed
		return func(ctx context.Context, rows io.Reader) (err error) {
			if listed {
				draft.Rows = rows
			}
			made, s, err = g.holder.Create(ctx, draft)
			return err
		}, nil
	}
	b, err := d.receive(g, w, q, false, plan)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.carryOut(q.Context(), plan); err != nil {
		return err
	}
	status := http.StatusCreated
	if made.Existed {
		status = http.StatusOK
	}
	w.Header().Set("Location", fmt.Sprintf("/v1/batches/%d", s.ID))
	write(w, typeJSON, status, s)
	return nil
}

func (f *BatchFields) draft(key string) queue.Draft {
	d := queue.Draft{Key: key, NotBefore: f.NotBefore, Pool: f.Pool, Window: f.SendWindow, Ready: f.Ready}
	d.Batch = queue.Batch{
		From: f.FromAddress, FromName: f.FromName, ReplyTo: f.ReplyTo, Subject: f.Subject, Text: f.BodyText,
		HTML: f.BodyHTML, Priority: int(f.Priority),
		ExpiresAt: f.ExpiresAt, OnUnknown: queue.OnUnknown(f.OnUnknown), ListUnsubscribe: f.ListUnsubscribe,
		Lang: f.Lang, CreatedAt: time.Now(),
	}
	for _, a := range f.Attachments {
		d.Attachments = append(d.Attachments, queue.Attachment{Filename: a.Filename, ContentType: a.ContentType,
			ContentID: a.ContentID, Content: a.Content})
	}
	names := make([]string, 0, len(f.Headers))
	for name := range f.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range f.Headers[name] {
			d.Headers = append(d.Headers, queue.Header{Name: name, Value: value})
		}
	}
	return d
}

// show tells how a batch stands.
func (d *Door) show(g *guest, w http.ResponseWriter, q *http.Request) error {
	id, err := number(q)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(q.Context(), 10*time.Second)
	defer cancel()
	s, err := g.holder.Status(ctx, id)
	if err != nil {
		return err
	}
	write(w, typeJSON, http.StatusOK, s)
	return nil
}

// stage adds recipients to a draft: all of the body, or none.
func (d *Door) stage(g *guest, w http.ResponseWriter, q *http.Request) error {
	id, err := number(q)
	if err != nil {
		return err
	}
	staged := 0
	plan := func(*body) (deed, error) {
		return func(ctx context.Context, rows io.Reader) (err error) {
			staged, err = g.holder.Stage(ctx, id, rows)
			return err
		}, nil
	}
	b, err := d.receive(g, w, q, true, plan)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.carryOut(q.Context(), plan); err != nil {
		return err
	}
	write(w, typeJSON, http.StatusOK, map[string]int{"staged": staged})
	return nil
}

// submit submits a draft. It may be repeated.
func (d *Door) submit(g *guest, w http.ResponseWriter, q *http.Request) error {
	id, err := number(q)
	if err != nil {
		return err
	}
	var expected *int
	if text := q.URL.Query().Get("expected"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return problem(http.StatusBadRequest, "expected: want how many recipients were staged")
		}
		count := int(n)
		expected = &count
	}
	return d.inTurn(q.Context(), g, func(ctx context.Context) error {
		s, err := g.holder.Submit(ctx, id, expected)
		if err != nil {
			return err
		}
		write(w, typeJSON, http.StatusOK, s)
		return nil
	})
}

func number(q *http.Request) (int64, error) {
	id, err := strconv.ParseInt(q.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, problem(http.StatusNotFound, "there is no batch "+q.PathValue("id"))
	}
	return id, nil
}

//go:embed openapi.json
var openAPI []byte

// describe serves the description of the interface, to anybody.
func describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(openAPI)
}
