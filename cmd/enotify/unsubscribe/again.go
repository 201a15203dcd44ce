package unsubscribe

import (
	"cmp"
	"context"
	"net/http"
)

// again undoes an unsubscription, by the button of the page that follows it. It has an
// address of its own, since mail programs post whatever they like to that of the link.
func (u *Page) again(w http.ResponseWriter, r *http.Request) {
	setFields(w.Header())
	if r.Method != http.MethodPost {
		http.Redirect(w, r, "../"+r.PathValue("token"), http.StatusSeeOther) // it asks, and changes nothing
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupTime)
	defer cancel()
	about, ok := u.open(ctx, w, r)
	if !ok {
		return
	}
	who, gets, err := u.DB.SubscribeAgain(ctx, about.Batch, about.Seq)
	if err != nil {
		u.refuse(w, r, err)
		return
	}
	u.Log.Info("subscribed again", "client", who.Client, "batch", about.Batch, "gets_mail", gets)
	u.show(w, r, http.StatusOK, who.Lang, view{Sender: cmp.Or(who.FromName, who.Client), Client: who.Client,
		Address: masked(who.Address), Again: gets, Not: !gets})
}
