package contract

// PageRequest selects a page of a list.
type PageRequest struct {
	// Limit is the maximum number of items, from 1 to 100. Zero means 20.
	Limit int `json:"limit,omitempty"`
	// Cursor is the NextCursor of the previous page. It is empty for the first page.
	Cursor string `json:"cursor,omitempty"`
}

// Page is a page of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	Limit int `json:"limit"`
	// NextCursor is the cursor of the next page. It is empty on the last page.
	NextCursor string `json:"nextCursor,omitempty"`
	// Total is the number of items in the whole list, for operations that return it.
	Total *int64 `json:"total,omitempty"`
	// TotalIsEstimate reports that the list has more items than Total, which is as far as
	// the app counts.
	TotalIsEstimate bool `json:"totalIsEstimate,omitempty"`
}
