package contract_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/strictjson"
)

func TestTimeIsEncodedInUTCWithMilliseconds(t *testing.T) {
	zone := time.FixedZone("", 3600)
	got, err := json.Marshal(contract.At(time.Date(2030, 1, 1, 0, 30, 0, 123_999_999, zone)))
	if want := `"2029-12-31T23:30:00.123Z"`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// Every accepted time can be encoded again, because its year has four digits in UTC.
func TestTimeRejectsYearsBeyondFourDigits(t *testing.T) {
	for _, text := range []string{`"9999-12-31T23:59:59-01:00"`, `"0000-01-01T00:00:00+01:00"`} {
		var at contract.Time
		if err := json.Unmarshal([]byte(text), &at); err == nil {
			t.Errorf("%s: got %v, want an error", text, at)
		}
	}
	for _, text := range []string{`"9999-12-31T23:59:59.000Z"`, `"0000-01-01T00:00:00.000Z"`} {
		var at contract.Time
		if err := json.Unmarshal([]byte(text), &at); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if back, err := json.Marshal(at); err != nil || string(back) != text {
			t.Errorf("%s: got %s, %v after a round trip", text, back, err)
		}
	}
}

func TestETagContainsBothVersions(t *testing.T) {
	v := eventapi.Versioned{Event: eventapi.Event{Version: 3}, SeatsVersion: 17}
	if got, want := v.ETag(), `"3-17"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A partial update leaves, clears or sets each field.
func TestOptionalFieldsRoundTrip(t *testing.T) {
	for body, want := range map[string]eventapi.Changes{
		`{}`:                                    {},
		`{"venue":null}`:                        {Venue: contract.Clear[string]()},
		`{"venue":""}`:                          {Venue: contract.Set("")},
		`{"capacity":7,"name":"n"}`:             {Capacity: contract.Set(int64(7)), Name: contract.Set("n")},
		`{"price":{"amount":1,"currency":"X"}}`: {Price: contract.Set(contract.Money{Amount: 1, Currency: "X"})},
	} {
		var got eventapi.Changes
		if err := strictjson.Decode([]byte(body), &got); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", body, got, err, want)
		}
		back, err := json.Marshal(got)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var again eventapi.Changes
		if err := strictjson.Decode(back, &again); err != nil || again != want {
			t.Errorf("%s encoded as %s: got %+v, %v, want %+v", body, back, again, err, want)
		}
	}
	for _, body := range []string{`{"capacity":"7"}`, `{"capacity":1.5}`, `{"price":{"amount":1,"tax":2}}`, `{"owner":"x"}`, `{"startsAt":"soon"}`, `{"price":{"amount":null}}`, `{"name":"a","name":"b"}`} {
		var got eventapi.Changes
		if err := strictjson.Decode([]byte(body), &got); err == nil {
			t.Errorf("%s: got %+v, want an error", body, got)
		}
	}
}

// One error names every invalid field of an update, those of its price as well.
func TestUpdateNamesEveryInvalidField(t *testing.T) {
	var got eventapi.Changes
	err := strictjson.Decode([]byte(`{"name":5,"price":{"amount":"1","tax":2},"startsAt":"soon","owner":"x","venue":null,"capacity":7}`), &got)
	var fields []string
	for _, f := range apperr.From(err).Fields {
		fields = append(fields, f.Field)
	}
	if want := []string{"name", "price.amount", "price.tax", "startsAt", "owner"}; !slices.Equal(fields, want) {
		t.Errorf("got %v, want %v", fields, want)
	}
	if got.Venue != contract.Clear[string]() || got.Capacity != contract.Set(int64(7)) {
		t.Errorf("got %+v, want the valid fields", got)
	}
}
