package mongobookings_test

import (
	"errors"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/test/servers"
)

// A client can cause many refused records, so each must cost as little as possible.
func TestRefusedRecordIsInTwoIndexes(t *testing.T) {
	o := &opener{uri: servers.StartMongo(t).URI}
	store, c := o.open(t)
	raised := bookingtest.RefusedRecord("raised")
	err := errors.Join(store.InsertBooking(t.Context(), bookingtest.RefusedRecord("refused")), store.InsertBooking(t.Context(), raised))
	raised.HoldNumber++
	err = errors.Join(err, store.ReplaceBooking(t.Context(), raised, booking.Refused, 2), store.InsertBooking(t.Context(), bookingtest.PendingBooking("pending")))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"_id_", "to_purge"}
	for _, id := range []string{"refused", "raised"} {
		if got := indexesWith(t, c, id); !slices.Equal(got, want) {
			t.Errorf("record %s: got it in the indexes %v, want %v", id, got, want)
		}
	}
	if got := indexesWith(t, c, "pending"); slices.Contains(got, "to_purge") || len(got) < 8 {
		t.Errorf("pending booking: got it in the indexes %v, want at least eight without to_purge", got)
	}
	var d bson.M
	if err := c.FindOne(t.Context(), bson.D{{Key: "_id", Value: "refused"}}).Decode(&d); err != nil || len(d) > 8 {
		t.Errorf("got the record %v, %v, want at most eight fields", d, err)
	}
}

// A database of an earlier version has indexes with the same keys, but other names.
func TestPrepareAcceptsTheIndexesOfEarlierVersions(t *testing.T) {
	o := &opener{uri: servers.StartMongo(t).URI}
	store, c := o.open(t)
	if err := c.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := c.Indexes().CreateMany(t.Context(), []mongo.IndexModel{
		{Keys: bson.D{{Key: "createdAt", Value: -1}, {Key: "_id", Value: -1}}, Options: options.Index().SetName("newest")},
		{Keys: bson.D{{Key: "purgeAt", Value: 1}}, Options: options.Index().SetName("purge").SetExpireAfterSeconds(0)},
	})
	if err := errors.Join(err, store.Prepare(t.Context()), store.InsertBooking(t.Context(), bookingtest.RefusedRecord("refused"))); err != nil {
		t.Fatal(err)
	}
	if got, want := indexesWith(t, c, "refused"), []string{"_id_", "newest", "purge", "to_purge"}; !slices.Equal(got, want) {
		t.Errorf("got a refused record in the indexes %v, want %v", got, want)
	}
}

// indexesWith returns the names of the indexes that contain a document, sorted. A scan of
// an index with nothing but its own filter returns what the index contains.
func indexesWith(t *testing.T, c *mongo.Collection, id string) []string {
	t.Helper()
	cursor, err := c.Indexes().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var indexes []struct {
		Name    string `bson:"name"`
		Partial bson.D `bson:"partialFilterExpression"`
	}
	if err := cursor.All(t.Context(), &indexes); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ix := range indexes {
		filter := ix.Partial
		if filter == nil {
			filter = bson.D{}
		}
		found, err := c.Find(t.Context(), filter, options.Find().SetHint(ix.Name))
		if err != nil {
			t.Fatal(err)
		}
		var documents []struct {
			ID string `bson:"_id"`
		}
		if err := found.All(t.Context(), &documents); err != nil {
			t.Fatal(err)
		}
		for _, d := range documents {
			if d.ID == id {
				names = append(names, ix.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}
