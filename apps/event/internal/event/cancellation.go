package event

import "boxoffice/shared/contract/eventapi"

// publicTo returns the event as an admin or as another client sees it. Only admins see the
// progress of a cancellation.
func (e Event) publicTo(byAdmin bool) eventapi.Event {
	public := e.Public()
	if byAdmin {
		public.Cancellation = e.cancellation()
	}
	return public
}

// versionedToAdmin returns the event as an admin sees it, with the version of the seats.
func (e Event) versionedToAdmin() eventapi.Versioned {
	return eventapi.Versioned{Event: e.publicTo(true), SeatsVersion: e.Seats.Version}
}

// cancellation returns the progress of the event's cancellation, or nil if the event is not
// cancelled. No hold is reserved after the cancellation, so Seats.Live only decreases.
func (e Event) cancellation() *eventapi.Cancellation {
	if e.Status != Cancelled {
		return nil
	}
	return &eventapi.Cancellation{Total: e.CancelledLive, Done: max(0, e.CancelledLive-e.Seats.Live)}
}
