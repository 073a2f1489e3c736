package page_test

import (
	"fmt"

	"boxoffice/shared/apperr"
	"boxoffice/shared/page"
)

func ExampleCursors() {
	type position struct {
		Name string `json:"n"`
		ID   string `json:"i"`
	}
	cursors := page.NewCursors("a secret that all instances share")

	// The last item of a page has the id b. The list's name contains its filters and
	// sort.
	cursor, err := cursors.Encode("events status=published sort=name", position{Name: "Gala", ID: "b"})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The next page starts after that position.
	var after position
	err = cursors.Decode("events status=published sort=name", cursor, &after)
	fmt.Println(after, err)

	// A list with another sort does not accept the cursor.
	err = cursors.Decode("events status=published sort=startsAt", cursor, &after)
	fmt.Println(apperr.From(err).Fields[0].Message)
	// Output:
	// {Gala b} <nil>
	// must be a nextCursor that was returned for this list with the same filters and sort
}
