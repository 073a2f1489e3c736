package server_test

import "testing"

func TestBuildInfoAndParameters(t *testing.T) {
	p := dial(t, startServer(t))
	p.expectAll([][2]string{
		{`{"ping": 1}`, `{"ok": 1}`},
		{`{"buildInfo": 1}`, `{"ok": 1, "version": "7.0.0", "versionArray": [7, 0, 0, 0], "bits": 64, "maxBsonObjectSize": 16777216, "gitVersion": "mongolite"}`},
		{`{"connectionStatus": 1, "showPrivileges": false}`, `{"ok": 1, "authInfo": {"authenticatedUsers": [], "authenticatedUserRoles": []}}`},
		{`{"getParameter": 1, "enableTestCommands": 1}`, `{"ok": 1, "enableTestCommands": true}`},
		{`{"getParameter": "*"}`, `{"ok": 1, "requireApiVersion": false}`},
		{`{"getParameter": 1}`, `{"ok": 0, "code": 72, "errmsg": "no option found to get"}`},
	}...)
}

// TestServerStatusCountsConnectionsAndRequests checks that serverStatus counts every
// request, including itself and requests that failed.
func TestServerStatusCountsConnectionsAndRequests(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	p.expect(`{"serverStatus": 1}`, `{"ok": 1, "process": "mongolite", "connections": {"current": 1, "totalCreated": 1}, "network": {"numRequests": 1}}`)
	p.expect(`{"ping": 1}`, `{"ok": 1}`)
	dial(t, s).expect(`{"nonsense": 1}`, `{"ok": 0, "code": 59}`)
	p.expect(`{"serverStatus": 1}`, `{"ok": 1, "connections": {"current": 2, "totalCreated": 2}, "network": {"numRequests": 4}}`)
}
