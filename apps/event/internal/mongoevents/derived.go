package mongoevents

import (
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"boxoffice/apps/event/internal/event"
)

// derivedDocument is the fields of an event that follow from its other fields and exist
// only for indexes. They change only with the definition or the status.
type derivedDocument struct {
	Identity string     `bson:"identity,omitempty"` // unique; absent in deleted events
	Lists    []string   `bson:"lists,omitempty"`    // the lists that contain the event; see listOf
	Words    []string   `bson:"words,omitempty"`    // see toWords
	PurgeAt  *time.Time `bson:"purgeAt,omitempty"`  // for the TTL index; only in deleted events
}

func toDerived(e event.Event) derivedDocument {
	d := derivedDocument{Identity: e.Identity(), Lists: toLists(e), Words: toWords(e)}
	if at, ok := e.PurgeAt(); ok {
		d.PurgeAt = &at
	}
	return d
}

// derivedFields returns the derived fields that an event has, to be set, and those that it
// lacks, to be unset.
func derivedFields(e event.Event) (set, unset bson.D, err error) {
	if set, err = fields(toDerived(e)); err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"identity", "lists", "words", "purgeAt"} {
		if !hasField(set, name) {
			unset = append(unset, bson.E{Key: name, Value: ""})
		}
	}
	return set, unset, nil
}

func hasField(d bson.D, name string) bool {
	for _, e := range d {
		if e.Key == name {
			return true
		}
	}
	return false
}

// withoutDerived adds the large derived fields to a projection that excludes fields.
func withoutDerived(projection bson.D) bson.D {
	return append(projection, bson.E{Key: "lists", Value: 0}, bson.E{Key: "words", Value: 0})
}

// statusList is a list of all events with certain statuses.
type statusList struct {
	name     string
	statuses []event.Status
}

// statusLists returns the lists by status. Each also exists for every category and for
// every organizer.
func statusLists() []statusList {
	return []statusList{
		{"public", []event.Status{event.Published, event.Cancelled}},
		{"all", []event.Status{event.Draft, event.Published, event.Cancelled}},
		{"draft", []event.Status{event.Draft}},
		{"published", []event.Status{event.Published}},
		{"cancelled", []event.Status{event.Cancelled}},
	}
}

// listOf returns the name of the smallest list that contains all events with the given
// statuses, except deleted ones. It reports whether the list contains no others.
func listOf(statuses []event.Status) (name string, isExact bool) {
	wanted := map[event.Status]bool{}
	for _, status := range statuses {
		if status != event.Deleted {
			wanted[status] = true
		}
	}
	for _, list := range statusLists() {
		if isExact = len(list.statuses) == len(wanted); isExact {
			for _, status := range list.statuses {
				isExact = isExact && wanted[status]
			}
		}
		if isExact {
			return list.name, true
		}
	}
	return "all", false
}

// organizerList and categoryList return the name of the part of a list that has this
// organizer or category. The category stands last, so that it may contain any text.
func organizerList(name, organizerID string) string { return name + " organizer:" + organizerID }
func categoryList(name, category string) string     { return name + " category:" + category }

// toLists returns the names of the lists that contain an event: at most nine. A deleted
// event is in no list.
func toLists(e event.Event) []string {
	var lists []string
	for _, list := range statusLists() {
		for _, status := range list.statuses {
			if status != e.Status {
				continue
			}
			lists = append(lists, list.name, organizerList(list.name, e.OrganizerID))
			if e.Category != "" {
				lists = append(lists, categoryList(list.name, e.Category))
			}
		}
	}
	return lists
}

// draftMark begins the words of drafts, so that a query for words of other events never
// scans them. No word contains it.
const draftMark = "~"

// toWords returns the words of an event in the form in which they are stored and indexed:
// the word, a space and the number of its Field. A scan of the index for a prefix thus
// finds the word itself before longer ones, and more important fields first.
func toWords(e event.Event) []string {
	mark := ""
	if e.Status == event.Draft {
		mark = draftMark
	}
	var words []string
	for _, w := range e.SearchWords() {
		words = append(words, mark+w.Text+" "+strconv.Itoa(int(w.In)))
	}
	return words
}

// fromWord returns the word that toWords stored as s. It reports false for any other text.
func fromWord(s string) (w event.Word, ok bool) {
	text, field, _ := strings.Cut(strings.TrimPrefix(s, draftMark), " ")
	in, err := strconv.Atoi(field)
	return event.Word{Text: text, In: event.Field(in)}, err == nil
}
