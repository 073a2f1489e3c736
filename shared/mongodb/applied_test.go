package mongodb_test

import (
	"testing"
	"time"

	"boxoffice/shared/mongodb"
	"boxoffice/shared/outbox"
)

// In most cases a relay has read version 4 with the unpublished record f1, and saves f1
// as sent at noon. In the others it saves a box without records. The name of a case lists
// the writes that led to the stored box.
func TestIsAppliedRecognisesTheSavedRecords(t *testing.T) {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	never, trim := time.Time{}, noon.Add(24*time.Hour)
	unsent := func(id string) outbox.Record { return outbox.Record{ID: id} }
	sent := func(id string, at time.Time) outbox.Record { return outbox.Record{ID: id, SentAt: at} }
	box := func(version int64, due, trim time.Time, records ...outbox.Record) outbox.Box {
		return outbox.Box{Document: "d", Version: version, Due: due, Trim: trim, Records: records}
	}
	saved := box(4, never, trim, sent("f1", noon))
	precise := box(4, never, trim.Add(time.Microsecond), sent("f1", noon.Add(time.Microsecond)))
	failed := box(4, noon, never, sent("f1", noon), unsent("f2"))
	empty := box(4, never, never)
	for name, tt := range map[string]struct {
		saved, stored outbox.Box
		want          bool
	}{
		"the save":                               {saved, box(5, never, trim, sent("f1", noon)), true},
		"the save, then a new record":            {saved, box(6, noon, trim, sent("f1", noon), unsent("f2")), true},
		"the save, then a claim":                 {saved, box(6, noon.Add(time.Minute), never, sent("f1", noon)), true},
		"the save with the precision of BSON":    {precise, box(5, never, trim, sent("f1", noon)), true},
		"the save after a failure":               {failed, box(5, noon, never, sent("f1", noon), unsent("f2")), true},
		"the save of no records":                 {empty, box(5, never, never), true},
		"no write":                               {saved, box(4, noon, never, unsent("f1")), false},
		"a new record first":                     {saved, box(5, noon, never, unsent("f1"), unsent("f2")), false},
		"a claim first":                          {saved, box(5, noon.Add(time.Minute), never, unsent("f1")), false},
		"a claim of the same records first":      {saved, box(5, noon.Add(time.Minute), never, sent("f1", noon)), false},
		"another relay's save first":             {saved, box(5, never, trim, sent("f1", noon.Add(time.Second))), false},
		"another relay's save, trimmed later":    {saved, box(5, never, trim.Add(time.Second), sent("f1", noon)), false},
		"another relay's save, due later":        {failed, box(5, noon.Add(time.Second), never, sent("f1", noon), unsent("f2")), false},
		"the removal of the record first":        {saved, box(5, never, never), false},
		"no records saved, a claim instead":      {empty, box(5, noon, never), false},
		"no records saved, other writes after":   {empty, box(6, noon, never, unsent("f2")), false},
		"no records saved, a new record instead": {empty, box(5, noon, never, unsent("f2")), false},
	} {
		if got := mongodb.IsApplied(tt.saved, tt.stored); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}
