package gather

import (
	"context"
	"crypto/rand"
	"errors"

	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/unsubscribe"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender"
	"enotify/sender/compose"
	"enotify/sender/token"
)

// renderer writes messages as a node does that has the same settings. Its signatures of
// addresses are not valid: a report is handed around, and a link in it must not unsubscribe
// anybody. It also returns the unsubscribe page.
func (s *Sources) renderer(ctx context.Context, in *preflight.Input) (*sender.Sender, error) {
	mail := &sender.Sender{BounceDomain: s.BounceDomain,
		Keys: token.Keys{{ID: "0", Secret: []byte(rand.Text() + rand.Text())}}}
	if in.KeyTrouble == nil && !in.KeysRemote {
		mail.DKIM.Path = s.Keys.Path
	}
	var err error
	if mail.Operator, err = s.Keys.Named("--dkim-operator", s.Operator); err != nil {
		return nil, err
	}
	if s.PublicURL == "" {
		return mail, nil
	}
	base, err := settings.PublicURL(s.PublicURL)
	if err != nil {
		return nil, err
	}
	mail.PublicURL = base
	in.OneClick, err = s.oneClick(ctx, base, mail.Keys, in)
	return mail, err
}

// oneClick is how to try the unsubscribe page. A login that may not read the keys of the
// nodes can only try it with an address that no node signed.
func (s *Sources) oneClick(ctx context.Context, base string, worthless token.Keys,
	in *preflight.Input) (*preflight.OneClick, error) {
	nobody := token.Subject{Batch: max(1, in.BatchID)}
	try := &preflight.OneClick{Says: unsubscribe.Mark}
	keys, err := (&keyring.Keyring{DB: s.DB}).Load(ctx)
	switch {
	case errors.Is(err, keyring.ErrNotAllowed):
		try.Unknown = base + "/u/" + worthless.Mint(token.Unsubscribe, nobody)
		try.Untried = "this login may not sign addresses as nodes do (that takes a member of enotify_sender), so the link of a recipient was not followed"
		return try, nil
	case err != nil:
		return &preflight.OneClick{Trouble: err}, nil
	}
	try.Unknown = base + "/u/" + keys.Mint(token.Unsubscribe, nobody)
	who, err := insight.Of(s.DB).SomeRecipient(ctx, in.Client)
	if err != nil || who == nil {
		try.Untried = "no batch of this client was sent before, so the link of a recipient was not followed"
		return try, err
	}
	try.Known = base + "/u/" + keys.Mint(token.Unsubscribe, token.Subject{Batch: who.Batch, Seq: who.Seq})
	try.Acted = func(ctx context.Context) (bool, error) { return insight.Of(s.DB).Suppressed(ctx, *who) }
	return try, nil
}

// merges reports whether there are merge fields in the batch.
func merges(b *queue.Batch) bool {
	for _, part := range []string{b.Subject, b.ListUnsubscribe, b.Text, b.HTML} {
		if compose.HasMergeFields(part) {
			return true
		}
	}
	return false
}
