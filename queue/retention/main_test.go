package retention_test

import (
	"testing"

	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }
