package strictjson_test

import (
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

func TestDecodeResponseIgnoresUnknownNames(t *testing.T) {
	var got event
	if err := strictjson.DecodeResponse([]byte(`{"name":"Gala","new":{"a":null}}`), &got); err != nil || got.Name != "Gala" {
		t.Errorf("got %+v, %v, want the name Gala and no error", got, err)
	}
}
