package bounce

import (
	_ "embed"
	"sync"
)

//go:embed rules.txt
var builtInText string

// builtInRules reads the table that comes with the program, which is part of
// it: a fault in there is found by the first test.
var builtInRules = sync.OnceValue(func() []rule {
	rules, err := readRules(builtInText)
	if err != nil {
		panic("bounce: rules.txt: " + err.Error())
	}
	return rules
})

var builtIn = sync.OnceValue(func() *table {
	t, err := compile(builtInRules())
	if err != nil {
		panic("bounce: rules.txt: " + err.Error())
	}
	return t
})

// BuiltIn is the table that comes with the program, as text.
func BuiltIn() string { return builtInText }
