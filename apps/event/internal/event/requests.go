package event

import (
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/validation"
)

// validateChange checks the ids of a request to cancel or delete an event.
func validateChange(req eventapi.ChangeRequest) error {
	var p problems
	p.ID("eventId", req.EventID)
	p.ID("changeId", req.ChangeID)
	return p.Err()
}

// maxHoldID is the maximum length of a hold's id, which consists of its booking's id, the
// hold number and a hash.
const maxHoldID = 3 * validation.MaxID

// validateReserves checks the rules that concern all reserves of one request together.
// validateReserve checks a single reserve.
func validateReserves(reqs []eventapi.ReserveRequest) error {
	return validateHolds(len(reqs), func(i int) (holdID, eventID string) { return reqs[i].HoldID, reqs[i].EventID })
}

// validateReleases checks the rules that concern all releases of one request together.
// validateRelease checks a single release.
func validateReleases(reqs []eventapi.ReleaseRequest) error {
	return validateHolds(len(reqs), func(i int) (holdID, eventID string) { return reqs[i].HoldID, reqs[i].EventID })
}

// validateSells checks the rules that concern all sales of one request together.
// validateSell checks a single sale.
func validateSells(reqs []eventapi.SellRequest) error {
	return validateHolds(len(reqs), func(i int) (holdID, eventID string) { return reqs[i].HoldID, reqs[i].EventID })
}

func validateSell(req eventapi.SellRequest) error {
	var p problems
	p.checkHoldID(req.HoldID)
	p.ID("eventId", req.EventID)
	return p.Err()
}

// validateHolds checks that a request is about 1 to eventapi.MaxReserves distinct holds of
// one event. The function hold returns the ids of one of its n holds and of its event.
func validateHolds(n int, hold func(i int) (holdID, eventID string)) error {
	var p problems
	holds, events := map[string]bool{}, map[string]bool{}
	for i := range n {
		holdID, eventID := hold(i)
		if holds[holdID] {
			p.Add("holdId", "duplicate", "must be different for each hold")
		}
		holds[holdID], events[eventID] = true, true
	}
	if len(events) > 1 {
		p.Add("eventId", "mixed", "must be the same for all holds")
	}
	if n == 0 || n > eventapi.MaxReserves {
		p.Add("data", "out_of_range", "must contain 1 to %d holds", eventapi.MaxReserves)
	}
	return p.Err()
}

func validateReserve(req eventapi.ReserveRequest) error {
	var p problems
	p.checkHold(req.HoldID, req.EventID, req.UserID, req.Quantity)
	if req.ExpiresAt.IsZero() {
		p.Add("expiresAt", "required", "is required")
	}
	return p.Err()
}

func validateRelease(req eventapi.ReleaseRequest) error {
	var p problems
	p.checkHold(req.HoldID, req.EventID, req.UserID, req.Quantity)
	if !isReleaseCause(Cause(req.Cause)) {
		p.Add("cause", "invalid", "must be one of released, expired, cancelled")
	}
	return p.Err()
}

// checkHold checks the fields that identify a hold.
func (p *problems) checkHold(holdID, eventID, userID string, quantity int64) {
	p.checkHoldID(holdID)
	p.ID("eventId", eventID)
	p.ID("userId", userID)
	p.Range("quantity", quantity, 1, maxCapacity)
}

func (p *problems) checkHoldID(holdID string) {
	// The id becomes a key in documents, so it must contain neither . nor $.
	if !validation.HasIDCharacters(holdID) || len(holdID) > maxHoldID {
		p.Add("holdId", "invalid", "must be 1 to %d letters, digits, - or _", maxHoldID)
	}
}
