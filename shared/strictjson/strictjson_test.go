package strictjson_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"boxoffice/shared/apperr"
	"boxoffice/shared/strictjson"
)

type price struct {
	Amount int64 `json:"amount"`
}

// clearable distinguishes null from an absent field.
type clearable struct{ null bool }

func (c *clearable) UnmarshalJSON(data []byte) error { c.null = string(data) == "null"; return nil }
func (*clearable) AcceptsNull()                      {}

// wrapped has a custom decoder.
type wrapped struct{ value bool }

func (w *wrapped) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return json.UnmarshalDecode(dec, &w.value)
}

// seat describes its JSON form.
type seat struct{}

func (*seat) UnmarshalJSON([]byte) error { return errSeat }
func (seat) JSONForm() string            { return "a seat, for example A12" }

type seatError struct{}

func (seatError) Error() string { return "malformed seat" }

var errSeat = seatError{}

type event struct {
	Name  string    `json:"name"`
	Seats int       `json:"seats"`
	Limit *int      `json:"limit"`
	Price price     `json:"price"`
	Tags  []string  `json:"tags"`
	Venue clearable `json:"venue"`
	Open  wrapped   `json:"open"`
	Seat  *seat     `json:"seat"`
}

func TestDecode(t *testing.T) {
	var got event
	err := strictjson.Decode([]byte(`{"name":"Gala","seats":3,"limit":2,"price":{"amount":5},"tags":["a"],"venue":null,"open":true}`), &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "Gala" || got.Seats != 3 || *got.Limit != 2 || got.Price.Amount != 5 || len(got.Tags) != 1 || !got.Venue.null || !got.Open.value {
		t.Errorf("got %+v, want every field decoded", got)
	}
}

func TestDecodeNamesTheInvalidField(t *testing.T) {
	for body, want := range map[string]apperr.Field{
		`{"nam":"Gala"}`:                    {Field: "nam", Code: "unknown", Message: "is not a known field; remove it"},
		`{"NAME":"Gala"}`:                   {Field: "NAME", Code: "unknown", Message: "is not a known field; remove it"},
		`{"name":"a","name":"b"}`:           {Field: "name", Code: "duplicate", Message: "must appear only once"},
		`{"price":{"amount":1,"a":2}}`:      {Field: "price.a", Code: "unknown", Message: "is not a known field; remove it"},
		`{"price":{"amount":"1"}}`:          {Field: "price.amount", Code: "invalid", Message: "must be an integer"},
		`{"price":{"amount":1.5}}`:          {Field: "price.amount", Code: "invalid", Message: "must be an integer"},
		`{"price":7}`:                       {Field: "price", Code: "invalid", Message: "must be an object"},
		`{"seats":9223372036854775808}`:     {Field: "seats", Code: "invalid", Message: "must be an integer of at most 64 bits"},
		`{"seats":"2"}`:                     {Field: "seats", Code: "invalid", Message: "must be an integer"},
		`{"limit":"2"}`:                     {Field: "limit", Code: "invalid", Message: "must be an integer"},
		`{"name":7}`:                        {Field: "name", Code: "invalid", Message: "must be a string"},
		`{"name":null}`:                     {Field: "name", Code: "null", Message: "must not be null"},
		`{"limit":null}`:                    {Field: "limit", Code: "null", Message: "must not be null"},
		`{"price":null}`:                    {Field: "price", Code: "null", Message: "must not be null"},
		`{"tags":["a",null]}`:               {Field: "tags.1", Code: "null", Message: "must not be null"},
		`{"tags":{"a":1}}`:                  {Field: "tags", Code: "invalid", Message: "must be an array"},
		`{"open":7}`:                        {Field: "open", Code: "invalid", Message: "must be true or false"},
		`{"seat":"Z"}`:                      {Field: "seat", Code: "invalid", Message: "must be a seat, for example A12"},
		`{"name":"a"`:                       {},
		`{"name":"a"} {}`:                   {},
		`["a"]`:                             {},
		`null`:                              {},
		``:                                  {},
		"{\"name\":\"\xff\"}":               {},
		`{"price":{"amount":1,"amount":2}}`: {Field: "price.amount", Code: "duplicate", Message: "must appear only once"},
	} {
		err := strictjson.Decode([]byte(body), &event{})
		if err == nil {
			t.Errorf("%s: got no error, want one", body)
			continue
		}
		e := apperr.From(err)
		if e.Code != apperr.Invalid {
			t.Errorf("%s: got %v, want code %s", body, err, apperr.Invalid)
		}
		if want.Field == "" {
			if len(e.Fields) > 0 {
				t.Errorf("%s: got fields %v, want none", body, e.Fields)
			}
			continue
		}
		if len(e.Fields) != 1 || e.Fields[0] != want {
			t.Errorf("%s: got %+v, want %+v", body, e.Fields, want)
		}
	}
}

// One error names unknown fields, wrong types, nulls and repeated names together, in the
// order of the document and at every depth. The valid fields are decoded.
func TestDecodeNamesEveryInvalidField(t *testing.T) {
	for body, want := range map[string]string{
		`{"name":5,"seats":"2"}`:                                             "name:invalid seats:invalid",
		`{"a":1,"name":null,"seats":1.5,"b":{"c":1}}`:                        "a:unknown name:null seats:invalid b:unknown",
		`{"price":{"amount":"1","x":1,"y":2},"tags":[1,"a",null],"z":0}`:     "price.amount:invalid price.x:unknown price.y:unknown tags.0:invalid tags.2:null z:unknown",
		`{"price":7,"tags":{},"open":7,"seat":"Z","limit":"2","venue":null}`: "price:invalid tags:invalid open:invalid seat:invalid limit:invalid",
		`{"name":"a","name":"b","name":"c","seats":"2"}`:                     "name:duplicate seats:invalid",
		`{"price":{"amount":1,"amount":2},"x":1}`:                            "price.amount:duplicate x:unknown",
		`{"x":{"a":1,"a":2},"seats":"2"}`:                                    "x:unknown seats:invalid",
		`{"seats":9223372036854775808,"limit":null}`:                         "seats:invalid limit:null",
		`{"n\u0061me":5,"a.b":1,"a/b":1,"":1}`:                               "name:invalid a.b:unknown a/b:unknown :unknown",
		`{"tags":"a","price":[],"name":{"deep":[{}]}}`:                       "tags:invalid price:invalid name:invalid",
	} {
		var got []string
		e := apperr.From(strictjson.Decode([]byte(body), &event{}))
		for _, f := range e.Fields {
			got = append(got, f.Field+":"+f.Code)
			if f.Message == "" || strings.Contains(f.Message, "documented") {
				t.Errorf("%s: got message %q of %s, want one that says what to send", body, f.Message, f.Field)
			}
		}
		if got := strings.Join(got, " "); got != want || e.Code != apperr.Invalid {
			t.Errorf("%s: got %s %s, want %s", body, e.Code, got, want)
		}
	}
	var got event
	if err := strictjson.Decode([]byte(`{"name":"Gala","seats":"2","price":{"amount":5,"x":1},"tags":["a"],"limit":3}`), &got); err == nil {
		t.Error("got no error, want one")
	}
	if got.Name != "Gala" || got.Seats != 0 || got.Price.Amount != 5 || len(got.Tags) != 1 || got.Limit == nil || *got.Limit != 3 {
		t.Errorf("got %+v, want the valid fields", got)
	}
}

func TestDecodeNamesAtMost100Fields(t *testing.T) {
	var body strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&body, `,"f%d":%d`, i, i)
	}
	e := apperr.From(strictjson.Decode([]byte("{"+body.String()[1:]+"}"), &event{}))
	if len(e.Fields) != 100 {
		t.Errorf("got %d fields, want 100", len(e.Fields))
	}
}

func TestDecodeResponseIgnoresUnknownNames(t *testing.T) {
	var got event
	if err := strictjson.DecodeResponse([]byte(`{"name":"Gala","new":{"a":null}}`), &got); err != nil || got.Name != "Gala" {
		t.Errorf("got %+v, %v, want the name Gala and no error", got, err)
	}
}
