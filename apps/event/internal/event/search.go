package event

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/page"
)

const (
	// maxTerm limits the length of a search term in code points.
	maxTerm = 200
	// maxTermWords limits the different words of a search term.
	maxTermWords = 20
	// maxCandidates limits the candidates of one search, over all its queries.
	maxCandidates = 1000
	// maxProbe limits the candidates of a probe, which shows whether few events have a
	// word of a term.
	maxProbe = 50
)

// SearchQuery selects the events that have a word with a prefix.
type SearchQuery struct {
	Prefix string // a normalized word, never empty
	// Drafts reports whether drafts match too. Published and cancelled events always
	// match, and deleted ones never do.
	Drafts bool
	Limit  int
}

// Candidate is an event that a query of a search found. Words contains its words in
// ascending order, as Event.SearchWords returns them.
type Candidate struct {
	ID       string
	StartsAt time.Time
	Words    []Word
}

// rank returns how well a candidate matches the words of a term; less is better. It is the
// sum, over all words of the term, of the most important field in which the candidate has
// a word with this prefix. rank reports false unless the candidate has all words.
func (c Candidate) rank(term []string) (rank int, ok bool) {
	for _, prefix := range term {
		i, _ := slices.BinarySearchFunc(c.Words, prefix, func(w Word, prefix string) int { return strings.Compare(w.Text, prefix) })
		best, found := InText, false
		for ; i < len(c.Words) && strings.HasPrefix(c.Words[i].Text, prefix); i++ {
			best, found = min(best, c.Words[i].In), true
		}
		if !found {
			return 0, false
		}
		rank += int(best)
	}
	return rank, true
}

// match is the position of an event in the result of a search.
type match struct {
	Rank  int       `json:"r"`
	Start time.Time `json:"t"`
	ID    string    `json:"i"`
}

// compare orders matches: the best rank first, then the earliest start, then the id.
func (m match) compare(o match) int {
	return cmp.Or(cmp.Compare(m.Rank, o.Rank), m.Start.Compare(o.Start), strings.Compare(m.ID, o.ID))
}

// search is a validated SearchRequest.
type search struct {
	words  []string // of the term, different and normalized
	drafts bool
	limit  int
	list   string // identifies the result for cursors
	after  *match
}

// SearchEvents returns a page of the events that contain all words of a term; see
// eventapi.SearchEvents. A word of the term matches every word that begins with it. A
// term without any word matches nothing.
//
// A search reads at most maxCandidates candidates. The result is complete if one of these
// is true; otherwise it contains only events among the candidates, of which
// Catalogue.SearchEvents defines the order:
//
//   - The term has one word, and fewer than maxCandidates events have it.
//   - Fewer than maxProbe events have some word of the term. For a term of more than ten
//     words the limit is lower; see findMatches.
//   - Fewer than half of maxCandidates events have its longest word.
func (s *Service) SearchEvents(ctx context.Context, req eventapi.SearchRequest) (contract.Page[eventapi.Event], error) {
	result := contract.Page[eventapi.Event]{Items: []eventapi.Event{}}
	q, err := s.newSearch(req)
	if err != nil {
		return result, err
	}
	result.Limit = q.limit
	matches, err := s.findMatches(ctx, q)
	if err != nil {
		return result, fmt.Errorf("search events: %w", err)
	}
	if len(matches) > q.limit {
		matches = matches[:q.limit]
		if result.NextCursor, err = s.cursors.Encode(q.list, matches[q.limit-1]); err != nil {
			return result, err
		}
	}
	if len(matches) == 0 {
		return result, nil
	}
	ids := make([]string, len(matches))
	for i, m := range matches {
		ids[i] = m.ID
	}
	events, err := s.catalogue.GetEvents(ctx, ids)
	if err != nil {
		return result, fmt.Errorf("search events: read %d events: %w", len(ids), err)
	}
	for _, id := range ids {
		// The event may have been deleted or unpublished since it was found.
		if e, ok := events[id]; ok && e.Visible(req.ByAdmin) {
			result.Items = append(result.Items, e.Public())
		}
	}
	return result, nil
}

// newSearch returns the search that a request asks for. A cursor is accepted only for the
// term that it came from.
func (s *Service) newSearch(req eventapi.SearchRequest) (search, error) {
	var p problems
	q := search{drafts: req.ByAdmin, limit: page.Limit(req.Limit, &p.Problems)}
	if !utf8.ValidString(req.Term) {
		p.Add("searchTerm", "invalid", "must be UTF-8")
	}
	p.MaxLength("searchTerm", req.Term, maxTerm)
	if p.Err() == nil {
		q.words = slices.Compact(slices.Sorted(slices.Values(splitWords(req.Term))))
	}
	if n := len(q.words); n > maxTermWords {
		p.Add("searchTerm", "too_many_words", "must contain at most %d different words, but has %d", maxTermWords, n)
	}
	if err := p.Err(); err != nil {
		return q, err
	}
	filter := req
	filter.PageRequest = contract.PageRequest{}
	text, err := json.Marshal(filter)
	if err != nil {
		return q, fmt.Errorf("identify the search: %w", err)
	}
	q.list = "search " + string(text)
	if req.Cursor != "" {
		q.after = new(match)
		err = s.cursors.Decode(q.list, req.Cursor, q.after)
	}
	return q, err
}

// findMatches returns the matches after the search's position, in order.
//
// If a query for one word returns fewer candidates than its limit, it has returned all
// events that have the word, so all matches are among them. findMatches therefore probes
// the words of the term with a small limit, the longest first, because a longer word is
// probably rarer. The probes use at most half of maxCandidates. If many events have each
// word, a query for the longest word uses the rest.
func (s *Service) findMatches(ctx context.Context, q search) ([]match, error) {
	longest := slices.Clone(q.words)
	slices.SortStableFunc(longest, func(a, b string) int { return cmp.Compare(utf8.RuneCountInString(b), utf8.RuneCountInString(a)) })
	found := candidates{byID: map[string]Candidate{}, left: maxCandidates}
	if len(longest) > 1 {
		probe := min(maxProbe, maxCandidates/2/len(longest))
		if err := s.findCandidates(ctx, q, longest, probe, &found); err != nil || found.areComplete {
			return q.rank(found), err
		}
	}
	if len(longest) > 0 {
		if err := s.findCandidates(ctx, q, longest[:1], found.left, &found); err != nil {
			return nil, err
		}
	}
	return q.rank(found), nil
}

// candidates are the events that a series of queries found.
type candidates struct {
	byID        map[string]Candidate
	left        int  // how many more candidates the search may read
	areComplete bool // whether they contain all matches
}

// findCandidates queries for one word after another, until a query returns fewer
// candidates than limit. It adds the candidates to found.
func (s *Service) findCandidates(ctx context.Context, q search, words []string, limit int, found *candidates) error {
	for _, prefix := range words {
		list, err := s.catalogue.SearchEvents(ctx, SearchQuery{Prefix: prefix, Drafts: q.drafts, Limit: limit})
		if err != nil {
			return err
		}
		found.left -= len(list)
		for _, c := range list {
			found.byID[c.ID] = c
		}
		if len(list) < limit {
			found.areComplete = true
			return nil
		}
	}
	return nil
}

// rank returns the matches among candidates that come after the search's position, in
// order.
func (q search) rank(found candidates) []match {
	var matches []match
	for _, c := range found.byID {
		rank, ok := c.rank(q.words)
		m := match{Rank: rank, Start: c.StartsAt, ID: c.ID}
		if ok && (q.after == nil || m.compare(*q.after) > 0) {
			matches = append(matches, m)
		}
	}
	slices.SortFunc(matches, match.compare)
	return matches
}
