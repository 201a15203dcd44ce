//go:build check

package packaging_test

import (
	"testing"

	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }
