package outboxtest_test

import (
	"testing"
	"time"

	"boxoffice/shared/outbox"
	"boxoffice/shared/outbox/outboxtest"
)

func TestStoreConforms(t *testing.T) {
	outboxtest.Conform(t, func(*testing.T) outboxtest.Subject {
		s := outboxtest.NewStore()
		return outboxtest.Subject{Store: s, Add: func(_ *testing.T, document, id string, at time.Time) {
			s.Add(document, at, outbox.Record{ID: id, Type: "t", Subject: document, At: at, Data: []byte("{}")})
		}}
	})
}
