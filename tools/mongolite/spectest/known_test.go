package spectest_test

// knownFailure lists tests that fail for the same reason: they use a feature that
// mongolite refuses. Each of these tests must exist and must fail.
type knownFailure struct {
	reason  string
	message string   // must be part of each test's output
	tests   []string // as fullName returns them
}

// knownSpecFailures are the known failures of the specification tests.
var knownSpecFailures = []knownFailure{
	{
		reason:  "Collations are not supported: strings are compared by their bytes",
		message: ".collation",
		tests: []string{
			"v1/crud-legacy/aggregate-collation.json/Aggregate_with_collation",
			"v1/crud-legacy/bulkWrite-collation.json/BulkWrite_with_delete_operations_and_collation",
			"v1/crud-legacy/bulkWrite-collation.json/BulkWrite_with_update_operations_and_collation",
			"v1/crud-legacy/count-collation.json/Count_documents_with_collation",
			"v1/crud-legacy/count-collation.json/Deprecated_count_with_collation",
			"v1/crud-legacy/deleteMany-collation.json/DeleteMany_when_many_documents_match_with_collation",
			"v1/crud-legacy/deleteOne-collation.json/DeleteOne_when_many_documents_matches_with_collation",
			"v1/crud-legacy/distinct-collation.json/Distinct_with_a_collation",
			"v1/crud-legacy/find-collation.json/Find_with_a_collation",
			"v1/crud-legacy/findOneAndDelete-collation.json/FindOneAndDelete_when_one_document_matches_with_collation",
			"v1/crud-legacy/findOneAndReplace-collation.json/FindOneAndReplace_when_one_document_matches_with_collation_returning_the_document_after_modification",
			"v1/crud-legacy/findOneAndUpdate-collation.json/FindOneAndUpdate_when_many_documents_match_with_collation_returning_the_document_before_modification",
			"v1/crud-legacy/replaceOne-collation.json/ReplaceOne_when_one_document_matches_with_collation",
			"v1/crud-legacy/updateMany-collation.json/UpdateMany_when_many_documents_match_with_collation",
			"v1/crud-legacy/updateOne-collation.json/UpdateOne_when_one_document_matches_with_collation",
		},
	},
	{
		reason:  "Views are not supported",
		message: "mongolite does not support create.pipeline",
		tests: []string{
			"v2/crud/estimatedDocumentCount.json/estimatedDocumentCount_works_correctly_on_views",
			"v1/crud/estimatedDocumentCount.json/estimatedDocumentCount_works_correctly_on_views",
		},
	},
	{
		reason:  "Document validation is not supported: the command collMod does not exist",
		message: "no such command: 'collMod'",
		tests: []string{
			"v2/crud/findOneAndUpdate-errorResponse.json/findOneAndUpdate_document_validation_errInfo_is_accessible",
			"v1/crud/findOneAndUpdate-errorResponse.json/findOneAndUpdate_document_validation_errInfo_is_accessible",
		},
	},
}

// knownLungoFailures are the known failures of lungo's tests.
var knownLungoFailures = []knownFailure{
	{
		reason:  "Change streams are not supported",
		message: "the pipeline stage $changeStream",
		tests: []string{
			"lungo/stream_test.go/TestStream/Mongo",
			"lungo/stream_test.go/TestStreamArrayChanges/Mongo",
			"lungo/stream_test.go/TestStreamAsync/Mongo",
			"lungo/stream_test.go/TestStreamCollectionInvalidationViaDatabaseDrop/Mongo",
			"lungo/stream_test.go/TestStreamInvalidationClient/Mongo",
			"lungo/stream_test.go/TestStreamInvalidationCollection/Mongo",
			"lungo/stream_test.go/TestStreamInvalidationDatabase/Mongo",
			"lungo/stream_test.go/TestStreamIsolationCollection/Mongo",
			"lungo/stream_test.go/TestStreamIsolationDatabase/Mongo",
			"lungo/stream_test.go/TestStreamResumption/Mongo",
			"lungo/stream_test.go/TestStreamTimeout/Mongo",
			"lungo/stream_test.go/TestStreamTimeout/Mongo#01",
		},
	},
	{
		reason:  "Multi-statement transactions are not supported",
		message: ".startTransaction",
		tests: []string{
			"lungo/bucket_test.go/TestBucketTransaction/Mongo",
			"lungo/session_test.go/TestSessionAutomatic/Mongo",
			"lungo/session_test.go/TestSessionAutomatic/Mongo#01",
			"lungo/session_test.go/TestSessionManual/Mongo",
			"lungo/session_test.go/TestSessionManual/Mongo#01",
		},
	},
}
