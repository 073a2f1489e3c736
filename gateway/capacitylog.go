package main

import (
	"boxoffice/shared/contract/eventapi"
)

func bindListCapacityLog(c *call) (eventapi.CapacityLogRequest, error) {
	path, query := params{call: c}, params{call: c}
	req := eventapi.CapacityLogRequest{EventID: path.id("eventId"), PageRequest: query.page()}
	if err := path.Err(); err != nil {
		return req, err
	}
	return req, query.queryErr()
}
