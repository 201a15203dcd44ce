// Package exit gives errors the exit code that the program ends with.
package exit

import (
	"errors"
	"fmt"
)

// Exit codes. 0 is fine, 1 any error.
const (
	Failed  = 1
	Blocked = 2  // blocked, not authorised, or a check failed
	Warned  = 3  // warnings, with --strict
	Usage   = 64 // EX_USAGE of sysexits.h: the flags, arguments or settings make no sense
)

// An Error is an error with an exit code of its own. With Err nil there is
// nothing to print: the result has said it.
type Error struct {
	Code int
	Err  error
}

func (e Error) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e Error) Unwrap() error { return e.Err }

// With gives err an exit code; it may be nil.
func With(code int, err error) error { return Error{code, err} }

// Usagef is an error in what the operator typed.
func Usagef(format string, args ...any) error {
	return With(Usage, fmt.Errorf(format, args...))
}

// Code is what the program exits with after err.
func Code(err error) int {
	if err == nil {
		return 0
	}
	if coded := (Error{}); errors.As(err, &coded) {
		return coded.Code
	}
	return Failed
}
