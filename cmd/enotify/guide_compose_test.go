package main_test

import (
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	enotify "enotify/cmd/enotify"
)

// checkCompose checks a compose file, or a part of one: that it is YAML, that
// the commands of our image exist with the flags given, and the names of our
// settings.
func checkCompose(t *testing.T, text string) {
	t.Helper()
	var file struct {
		Services map[string]struct {
			Image       string            `yaml:"image"`
			Command     []string          `yaml:"command"`
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Errorf("compose file: %v", err)
		return
	}
	if len(file.Services) == 0 {
		t.Errorf("compose file without services:\n%s", text)
	}
	for name, service := range file.Services {
		for setting := range service.Environment {
			if strings.HasPrefix(setting, "ENOTIFY_") && !knownSettings()[setting] {
				t.Errorf("service %s: no setting is named %s", name, setting)
			}
		}
		if !strings.HasPrefix(service.Image, "enotify") {
			continue
		}
		cmd, rest, err := enotify.Root().Find(service.Command)
		if err != nil || slices.ContainsFunc(rest, func(arg string) bool { return !strings.HasPrefix(arg, "-") }) {
			t.Errorf("service %s: the command is %q: %v", name, service.Command, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("service %s: %q: %v", name, service.Command, err)
		}
	}
}
