package mongobookings

import (
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/mongodb"
)

// indexes returns the indexes for lists, for the queries of the sweeps, for the limit of
// pending tickets, and for the purge of refused records.
//
// They are partial, so that each contains only the records that its queries can match. A
// refused record is in two of them: _id and to_purge. A query may use a partial index only
// if its filter implies the index's: an equality or a range implies that the field exists,
// and one with the state implies that state.
func indexes() []mongo.IndexModel {
	desc := func(key string) bson.E { return bson.E{Key: key, Value: -1} }
	exists := func(key string) *options.IndexOptionsBuilder {
		return options.Index().SetPartialFilterExpression(bson.D{{Key: key, Value: bson.D{{Key: "$exists", Value: true}}}})
	}
	in := func(state booking.State) *options.IndexOptionsBuilder {
		return options.Index().SetPartialFilterExpression(bson.D{{Key: "state", Value: string(state)}})
	}
	return []mongo.IndexModel{
		index("list", exists("createdAt"), desc("createdAt"), desc("_id")),
		index("list_of_user", exists("createdAt"), asc("userId"), desc("createdAt"), desc("_id")),
		index("list_of_event", exists("createdAt"), asc("eventId"), desc("createdAt"), desc("_id")),
		index("list_of_state", exists("createdAt"), asc("state"), desc("createdAt"), desc("_id")),
		index("to_expire", in(booking.Pending), asc("state"), asc("expiresAt"), asc("_id")),
		index("to_expire_of_event", in(booking.Pending), asc("eventId"), asc("state"), asc("expiresAt"), asc("_id")),
		index("to_discharge", exists("dischargeAt"), asc("dischargeAt"), asc("_id")),
		index("live_in_event", exists("eventId"), asc("eventId"), asc("state"), asc("_id")),
		index("pending_of_user", in(booking.Pending), asc("userId"), asc("state"), asc("expiresAt"), asc("quantity")),
		mongodb.OutboxIndex(),
		mongodb.OutboxTrimIndex(),
		index("to_purge", in(booking.Refused).SetExpireAfterSeconds(0), asc("purgeAt")),
	}
}
