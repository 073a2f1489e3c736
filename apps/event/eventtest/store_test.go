package eventtest_test

import (
	"testing"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
)

func TestStoreConforms(t *testing.T) {
	eventtest.Conform(t, func(*testing.T) eventtest.Subject {
		s := eventtest.NewStore()
		return eventtest.Subject{
			Ports: s,
			Facts: func(*testing.T) []event.Fact { return s.Facts() },
			Publish: func(*testing.T) {
				for _, f := range s.Unsent() {
					s.MarkSent(f.Subject, f.ID)
				}
			},
		}
	})
}
