package main

import "boxoffice/shared/contract/eventapi"

// bindReconcileEvent accepts a request without a body, which mends nothing.
func bindReconcileEvent(c *call) (eventapi.ReconcileRequest, error) {
	p := params{call: c}
	req := eventapi.ReconcileRequest{EventID: p.id("eventId")}
	if err := p.Err(); err != nil || len(c.BodyRaw()) == 0 {
		return req, err
	}
	body, err := decode[struct {
		Mend bool `json:"mend"`
	}](c)
	req.Mend = body.Mend
	return req, err
}
