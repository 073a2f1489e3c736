package strictjson_test

import (
	"testing"

	"boxoffice/shared/apperr"
	"boxoffice/shared/strictjson"
)

type price struct {
	Amount int64 `json:"amount"`
}

type clearable struct{ null bool }

func (c *clearable) UnmarshalJSON(data []byte) error { c.null = string(data) == "null"; return nil }
func (*clearable) AcceptsNull()                      {}

type event struct {
	Name  string    `json:"name"`
	Seats int       `json:"seats"`
	Limit *int      `json:"limit"`
	Price price     `json:"price"`
	Tags  []string  `json:"tags"`
	Venue clearable `json:"venue"`
}

func TestDecode(t *testing.T) {
	var got event
	err := strictjson.Decode([]byte(`{"name":"Gala","seats":3,"limit":2,"price":{"amount":5},"tags":["a"],"venue":null}`), &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "Gala" || got.Seats != 3 || *got.Limit != 2 || got.Price.Amount != 5 || len(got.Tags) != 1 || !got.Venue.null {
		t.Errorf("got %+v", got)
	}
}

func TestDecodeSaysWhatIsWrongWhere(t *testing.T) {
	for body, want := range map[string]apperr.Field{
		`{"nmae":"Gala"}`:                   {Field: "nmae", Code: "unknown"},
		`{"NAME":"Gala"}`:                   {Field: "NAME", Code: "unknown"},
		`{"name":"a","name":"b"}`:           {Field: "name", Code: "duplicate"},
		`{"price":{"amount":1,"a":2}}`:      {Field: "price.a", Code: "unknown"},
		`{"price":{"amount":"1"}}`:          {Field: "price.amount", Code: "invalid"},
		`{"price":{"amount":1.5}}`:          {Field: "price.amount", Code: "invalid"},
		`{"seats":9223372036854775808}`:     {Field: "seats", Code: "invalid"},
		`{"seats":"2"}`:                     {Field: "seats", Code: "invalid"},
		`{"name":null}`:                     {Field: "name", Code: "null"},
		`{"limit":null}`:                    {Field: "limit", Code: "null"},
		`{"price":null}`:                    {Field: "price", Code: "null"},
		`{"tags":["a",null]}`:               {Field: "tags.1", Code: "null"},
		`{"tags":{"a":1}}`:                  {Field: "tags", Code: "invalid"},
		`{"name":"a"`:                       {},
		`{"name":"a"} {}`:                   {},
		`["a"]`:                             {},
		`null`:                              {},
		``:                                  {},
		"{\"name\":\"\xff\"}":               {},
		`{"price":{"amount":1,"amount":2}}`: {Field: "price.amount", Code: "duplicate"},
	} {
		err := strictjson.Decode([]byte(body), &event{})
		if err == nil {
			t.Errorf("%s: got no error", body)
			continue
		}
		e := apperr.From(err)
		if e.Code != apperr.Invalid {
			t.Errorf("%s: got %v", body, err)
		}
		if want.Field == "" {
			if len(e.Fields) > 0 {
				t.Errorf("%s: got fields %v, want none", body, e.Fields)
			}
			continue
		}
		if len(e.Fields) != 1 || e.Fields[0].Field != want.Field || e.Fields[0].Code != want.Code {
			t.Errorf("%s: got %v, want %v", body, e.Fields, want)
		}
	}
}

func TestTolerantPassesOverWhatIsNew(t *testing.T) {
	var got event
	if err := strictjson.Tolerant([]byte(`{"name":"Gala","new":{"a":null}}`), &got); err != nil || got.Name != "Gala" {
		t.Errorf("got %+v, %v", got, err)
	}
}
