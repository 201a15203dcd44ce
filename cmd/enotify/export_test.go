package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Run is the whole program but for the process around it. It returns the exit code.
func Run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (code int) {
	return exitCode(run(ctx, args, getenv, strings.NewReader(""), stdout, stderr), stderr)
}

// Root is the command tree, as the program has it.
func Root() *cobra.Command { return (&app{}).rootCmd() }
