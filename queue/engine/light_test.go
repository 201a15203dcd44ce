package engine_test

import (
	"context"
	"testing"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// What a survey finds is committed without a wait for the disk, whatever the database says;
// intents and outcomes are committed with it.
func TestOnlyTheSurveyIsCommittedLightly(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = on', current_database()); END $$`)
	f.Exec(`CREATE TABLE public.committed (kind text, waits text, UNIQUE (kind, waits))`)
	f.Exec(`CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		INSERT INTO public.committed VALUES (TG_ARGV[0], current_setting('synchronous_commit')) ON CONFLICT DO NOTHING;
		RETURN NULL; END $$`)
	for kind, event := range map[string]string{"survey": "UPDATE OF surveyed_at ON enotify.domain",
		"intent": "UPDATE OF intent_seq ON enotify.batch_domain", "outcome": "INSERT ON enotify.outcome"} {
		f.Exec(`CREATE TRIGGER note AFTER ` + event + ` FOR EACH ROW EXECUTE FUNCTION public.note('` + kind + `')`)
	}
	f.Enqueue("menu", 200, "a.example", "b.example") // more than a small batch
	s := f.Server("n1", queuetest.Deliver)
	s.DB = queuetest.Open(t, f.URL) // in sessions that begin now
	s.Survey = func(_ context.Context, domain string) (queue.Survey, error) {
		return queue.Survey{Site: "site.example"}, nil
	}
	f.Serve(s)
	got := queuetest.Query[string](f,
		`SELECT string_agg(kind || ' ' || waits, ', ' ORDER BY kind, waits) FROM public.committed`)
	if want := "intent on, outcome on, survey off"; got != want {
		t.Errorf("synchronous_commit: got %q, want %q", got, want)
	}
}
