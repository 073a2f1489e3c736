package contract

// PageRequest asks for a page of a list. Limit is 1 to 100, and 20 when it is 0;
// Cursor is where the page before ended, empty for the first.
type PageRequest struct {
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// Page is a part of a list. The cursor of the next page is empty on the last.
type Page[T any] struct {
	Items      []T    `json:"items"`
	Limit      int    `json:"limit"`
	NextCursor string `json:"nextCursor,omitempty"`
	Total      *int64 `json:"total,omitempty"` // of the whole list, where the operation says so
}
