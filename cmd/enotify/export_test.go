package main

import "github.com/spf13/cobra"

// Root is the command tree, as the program has it.
func Root() *cobra.Command { return (&app{}).rootCmd() }
