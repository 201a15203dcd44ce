package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// hookReceiver is a process that takes messages of a webhook at an address. It appends
// the id of each event to a file. It answers nothing if it is to hang: before it has
// written, or after.
func hookReceiver() {
	address, file, hangs := os.Args[1], os.Args[2], os.Args[3]
	_ = http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var message struct {
			Data struct{ Events []struct{ ID int64 } }
		}
		var line strings.Builder
		if err := json.NewDecoder(q.Body).Decode(&message); err != nil {
			fmt.Fprintln(&line, "unreadable:", err)
		}
		for _, e := range message.Data.Events {
			fmt.Fprintln(&line, e.ID)
		}
		if hangs == "before" {
			line.Reset()
		}
		line.WriteString("asked\n")
		out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = out.WriteString(line.String())
			_ = out.Close()
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if hangs != "never" {
			<-q.Context().Done()
		}
	}))
	os.Exit(1)
}
