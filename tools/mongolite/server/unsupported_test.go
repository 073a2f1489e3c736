package server_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"boxoffice/tools/mongolite/server"
)

var update = flag.Bool("update", false, "write docs/unsupported.md")

const unsupportedDoc = "../docs/unsupported.md"

// probe is a feature of MongoDB and a command that requests it.
type probe struct {
	name string
	cmd  string
}

// featureGroup is a section of docs/unsupported.md.
type featureGroup struct {
	title, about string
	probes       []probe
}

// probes returns one probe per name, with NAME in cmd replaced by the name.
func probes(names, cmd string) (list []probe) {
	for _, name := range strings.Fields(names) {
		list = append(list, probe{name, strings.ReplaceAll(cmd, "NAME", name)})
	}
	return list
}

// The names in the manual of MongoDB 7.0, whether this server supports them or not.
// The test fails for a name that the server treats as unknown. mongoCommands is an
// exception: it contains only commands that the server does not support.
const (
	// https://www.mongodb.com/docs/manual/reference/command/
	mongoCommands = `abortReshardCollection addShard addShardToZone analyzeShardKey appendOplogNote authenticate autoCompact
		balancerCollectionStatus balancerStart balancerStatus balancerStop bulkWrite checkMetadataConsistency
		cleanupOrphaned cleanupReshardCollection clearJumboFlag cloneCollectionAsCapped collMod collStats
		commitReshardCollection compact configureQueryAnalyzer connPoolStats convertToCapped createRole
		createSearchIndexes createUser currentOp dataSize dbHash dbStats dropAllRolesFromDatabase
		dropAllUsersFromDatabase dropConnections dropRole dropSearchIndex dropUser enableSharding features filemd5
		flushRouterConfig fsync fsyncUnlock getAuditConfig getClusterParameter getCmdLineOpts getDefaultRWConcern
		getLog getShardMap getShardVersion grantPrivilegesToRole grantRolesToRole grantRolesToUser hostInfo
		invalidateUserCache isdbgrid killAllSessionsByPattern killOp listCommands listShards lockInfo
		logApplicationMessage logRotate logout mapReduce mergeChunks moveChunk movePrimary netstat planCacheClear
		planCacheClearFilters planCacheListFilters planCacheSetFilter profile reIndex refineCollectionShardKey
		removeShard removeShardFromZone renameCollection replSetAbortPrimaryCatchUp replSetFreeze replSetGetConfig
		replSetGetStatus replSetInitiate replSetMaintenance replSetReconfig replSetResizeOplog replSetStepDown
		replSetSyncFrom reshardCollection revokePrivilegesFromRole revokeRolesFromRole revokeRolesFromUser rolesInfo
		rotateCertificates saslContinue saslStart setAllowMigrations setAuditConfig setClusterParameter
		setDefaultRWConcern setFeatureCompatibilityVersion setIndexCommitQuorum setParameter setUserWriteBlockMode
		shardCollection shardingState shutdown split startSession top updateRole updateSearchIndex updateUser
		updateZoneKeyRange usersInfo validate validateDBMetadata whatsmyuri`
	// https://www.mongodb.com/docs/manual/reference/operator/query/
	mongoTopLevel = `$and $or $nor $expr $jsonSchema $text $where $comment $sampleRate $alwaysTrue $alwaysFalse`
	mongoQuery    = `$eq $ne $gt $gte $lt $lte $in $nin $not $exists $type $mod $regex $all $elemMatch $size $bitsAllClear
		$bitsAllSet $bitsAnyClear $bitsAnySet $geoIntersects $geoWithin $within $near $nearSphere $geoNear $maxDistance $minDistance`
	// https://www.mongodb.com/docs/manual/reference/operator/update/
	mongoUpdate = `$currentDate $inc $min $max $mul $rename $set $setOnInsert $unset $addToSet $pop $pull $push $pullAll $bit`
	// https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/
	mongoStages = `$addFields $bucket $bucketAuto $changeStream $changeStreamSplitLargeEvent $collStats $count $currentOp
		$densify $documents $facet $fill $geoNear $graphLookup $group $indexStats $limit $listLocalSessions
		$listSampledQueries $listSearchIndexes $listSessions $lookup $match $merge $out $planCacheStats $project $queryStats $redact
		$replaceRoot $replaceWith $sample $search $searchMeta $set $setWindowFields $shardedDataDistribution $skip
		$sort $sortByCount $unionWith $unset $unwind $vectorSearch`
	// https://www.mongodb.com/docs/manual/reference/operator/aggregation/
	mongoExpressions = `$abs $acos $acosh $add $allElementsTrue $and $anyElementTrue $arrayElemAt $arrayToObject $asin $asinh $atan
		$atan2 $atanh $avg $binarySize $bitAnd $bitNot $bitOr $bitXor $bsonSize $ceil $cmp $concat $concatArrays $cond
		$convert $cos $cosh $dateAdd $dateDiff $dateFromParts $dateFromString $dateSubtract $dateToParts $dateToString
		$dateTrunc $dayOfMonth $dayOfWeek $dayOfYear $degreesToRadians $divide $eq $exp $filter $first $firstN $floor
		$function $getField $gt $gte $hour $ifNull $in $indexOfArray $indexOfBytes $indexOfCP $isArray $isNumber
		$isoDayOfWeek $isoWeek $isoWeekYear $last $lastN $let $literal $ln $log $log10 $lt $lte $ltrim $map $max $maxN
		$median $mergeObjects $meta $millisecond $min $minN $minute $mod $month $multiply $ne $not $objectToArray $or
		$percentile $pow $radiansToDegrees $rand $range $reduce $regexFind $regexFindAll $regexMatch $replaceAll
		$replaceOne $reverseArray $round $rtrim $sampleRate $second $setDifference $setEquals $setField
		$setIntersection $setIsSubset $setUnion $sin $sinh $size $slice $sortArray $split $sqrt $stdDevPop $stdDevSamp
		$strLenBytes $strLenCP $strcasecmp $substr $substrBytes $substrCP $subtract $sum $switch $tan $tanh $toBool
		$toDate $toDecimal $toDouble $toHashedIndexKey $toInt $toLong $toLower $toObjectId $toString $toUpper $trim
		$trunc $tsIncrement $tsSecond $type $unsetField $week $year $zip`
	mongoAccumulators = `$accumulator $addToSet $avg $bottom $bottomN $count $first $firstN $last $lastN $max $maxN $median
		$mergeObjects $min $minN $percentile $push $stdDevPop $stdDevSamp $sum $top $topN`
	mongoVariables = `NOW CLUSTER_TIME ROOT CURRENT REMOVE USER_ROLES SEARCH_META`
)

// featureGroups returns all probes. It takes the names from the server's tables where
// possible.
func featureGroups() []featureGroup {
	fields := featureGroup{title: "Fields of commands", about: "A value that requests nothing is accepted: false, null, an empty document, or the collation `simple`."}
	unsupported := server.UnsupportedCommandFields()
	for _, name := range slices.Sorted(maps.Keys(unsupported)) {
		for _, f := range unsupported[name] {
			fields.probes = append(fields.probes, probe{name + "." + f, fmt.Sprintf(`{%q: "c", %q: {"x": 1}}`, name, f)})
		}
	}
	for _, f := range server.UnsupportedStatementFields["update.updates"] {
		fields.probes = append(fields.probes, probe{"update.updates." + f, fmt.Sprintf(`{"update": "c", "updates": [{"q": {}, "u": [], %q: {"x": 1}}]}`, f)})
	}
	for _, f := range server.UnsupportedStatementFields["delete.deletes"] {
		fields.probes = append(fields.probes, probe{"delete.deletes." + f, fmt.Sprintf(`{"delete": "c", "deletes": [{"q": {}, "limit": 1, %q: {"x": 1}}]}`, f)})
	}
	generic := featureGroup{title: "Fields of any command", about: "The first two belong to multi-document transactions."}
	for _, f := range server.UnsupportedGenericFields() {
		v := true
		if f == "autocommit" {
			v = false
		}
		generic.probes = append(generic.probes, probe{"find." + f, fmt.Sprintf(`{"find": "c", %q: %v}`, f, v)})
	}
	for _, f := range []string{"uid", "txnNumber", "txnUUID"} {
		generic.probes = append(generic.probes, probe{"lsid." + f, fmt.Sprintf(`{"ping": 1, "lsid": {"id": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}, %q: 1}}`, f)})
	}
	index := featureGroup{title: "Indexes"}
	for _, kind := range []string{"text", "hashed", "2d", "2dsphere", "columnstore"} {
		index.probes = append(index.probes, probe{kind + " indexes", fmt.Sprintf(`{"createIndexes": "c", "indexes": [{"name": "x", "key": {"x": %q}}]}`, kind)})
	}
	index.probes = append(index.probes, probe{"wildcard indexes", `{"createIndexes": "c", "indexes": [{"name": "x", "key": {"$**": 1}}]}`},
		probe{"an index version other than 2", `{"createIndexes": "c", "indexes": [{"name": "x", "key": {"x": 1}, "v": 1}]}`},
		probe{"Decimal128 in _id or an indexed field", `{"insert": "c", "documents": [{"_id": {"$numberDecimal": "1"}}]}`})
	for _, o := range server.UnsupportedStatementFields["createIndexes.indexes"] {
		index.probes = append(index.probes, probe{"createIndexes.indexes." + o, fmt.Sprintf(`{"createIndexes": "c", "indexes": [{"name": "x", "key": {"x": 1}, %q: {"x": 1}}]}`, o)})
	}
	variables := featureGroup{title: "Variables"}
	for _, v := range strings.Fields(mongoVariables) {
		variables.probes = append(variables.probes, probe{"$$" + v, `{"find": "c", "filter": {"$expr": "$$` + v + `"}}`})
	}
	const agg = `{"aggregate": "c", "cursor": {}, "pipeline": [%s]}`
	return []featureGroup{
		{"Commands", "The reply is the one that MongoDB sends for an unknown command.", probes(mongoCommands, `{"NAME": 1, "$db": "admin"}`)},
		{"Transactions", "", []probe{{"commitTransaction", `{"commitTransaction": 1}`}, {"abortTransaction", `{"abortTransaction": 1}`}}},
		generic, fields,
		{"Read concern, write concern and sessions", "", []probe{
			{"readConcern level snapshot", `{"find": "c", "readConcern": {"level": "snapshot"}}`},
			{"readConcern.afterClusterTime", `{"find": "c", "readConcern": {"afterClusterTime": 1}}`},
			{"readConcern.atClusterTime", `{"find": "c", "readConcern": {"atClusterTime": 1}}`},
			{"writeConcern.w of type object", `{"insert": "c", "documents": [{}], "writeConcern": {"w": {"dc": 1}}}`},
			{"users (killAllSessions)", `{"killAllSessions": [{"user": "u"}]}`},
			{"system collections (test.system.views)", `{"find": "system.views"}`},
		}},
		{"Explain", "", probes("insert getMore create drop listIndexes", `{"explain": {"NAME": "c"}}`)},
		{"Pipeline stages", "", append(probes(mongoStages, fmt.Sprintf(agg, `{"NAME": {}}`)),
			probe{"the options of $listLocalSessions", `{"aggregate": 1, "cursor": {}, "pipeline": [{"$listLocalSessions": {"allUsers": true}}]}`})},
		{"Accumulators of $group", "", probes(mongoAccumulators, fmt.Sprintf(agg, `{"$group": {"_id": null, "x": {"NAME": {}}}}`))},
		{"Expressions", "", probes(mongoExpressions, fmt.Sprintf(agg, `{"$project": {"x": {"NAME": []}}}`))},
		variables,
		{"$out and $merge", "", []probe{
			{"the option timeseries of $out", fmt.Sprintf(agg, `{"$out": {"db": "d", "coll": "x", "timeseries": {}}}`)},
			{"the option let of $merge", fmt.Sprintf(agg, `{"$merge": {"into": "x", "let": {"y": 1}}}`)},
			{"$merge on fields other than _id", fmt.Sprintf(agg, `{"$merge": {"into": "x", "on": "y"}}`)},
			{"the option whenMatched of $merge as a pipeline", fmt.Sprintf(agg, `{"$merge": {"into": "x", "whenMatched": []}}`)},
		}},
		{"Query operators", "", append(probes(mongoTopLevel, `{"find": "c", "filter": {"NAME": 1}}`), probes(mongoQuery, `{"find": "c", "filter": {"x": {"NAME": 1}}}`)...)},
		{"Update operators", "", probes(mongoUpdate, `{"update": "c", "updates": [{"q": {}, "u": {"NAME": {"x": 1}}}]}`)},
		{"Projections and sorts", "", []probe{
			{"the positional projection 'x.$'", `{"find": "c", "projection": {"x.$": 1}}`},
			{"the projection operator $meta", `{"find": "c", "projection": {"x": {"$meta": "textScore"}}}`},
			{"sorting by $meta", `{"find": "c", "sort": {"x": {"$meta": "textScore"}}}`},
			{"sorting by $natural", `{"find": "c", "sort": {"x": 1, "$natural": 1}}`},
		}},
		index,
		{"BSON types and values", "", []probe{
			{"minKey", `{"insert": "c", "documents": [{"x": {"$minKey": 1}}]}`},
			{"maxKey", `{"insert": "c", "documents": [{"x": {"$maxKey": 1}}]}`},
			{"javascript", `{"insert": "c", "documents": [{"x": {"$code": "1"}}]}`},
			{"javascriptWithScope", `{"insert": "c", "documents": [{"x": {"$code": "1", "$scope": {}}}]}`},
			{"symbol", `{"insert": "c", "documents": [{"x": {"$symbol": "x"}}]}`},
			{"undefined", `{"insert": "c", "documents": [{"x": {"$undefined": true}}]}`},
			{"dbPointer", `{"insert": "c", "documents": [{"x": {"$dbPointer": {"$ref": "c", "$id": {"$oid": "57e193d7a9cc81b4027498b1"}}}}]}`},
			{"the Decimal128 NaN", `{"insert": "c", "documents": [{"x": {"$numberDecimal": "NaN"}}]}`},
			{"the Decimal128 Infinity", `{"insert": "c", "documents": [{"x": {"$numberDecimal": "Infinity"}}]}`},
		}},
		{"Fail points", "A server started with --test-commands supports failCommand and onPrimaryTransactionalWrite, except for the following.", []probe{
			{"the fail point WTWriteConflictException", `{"configureFailPoint": "WTWriteConflictException", "mode": "off"}`},
			{"mode.activationProbability of a fail point", `{"configureFailPoint": "failCommand", "mode": {"activationProbability": 0.5}}`},
			{"data.namespace of failCommand", `{"configureFailPoint": "failCommand", "mode": "off", "data": {"namespace": "a.b"}}`},
			{"data.extraInfo of failCommand", `{"configureFailPoint": "failCommand", "mode": "off", "data": {"extraInfo": 1}}`},
			{"data.threadName of failCommand", `{"configureFailPoint": "failCommand", "mode": "off", "data": {"threadName": "x"}}`},
		}},
	}
}

// isUnknownName reports whether an error is one with which MongoDB rejects an
// unknown name.
func isUnknownName(code int32, message string) bool {
	switch code {
	case 40324, 40415, 168, 15952, 17276, 197:
		return true
	}
	return strings.Contains(message, "nknown ")
}

// TestUnsupportedFeatures requests every feature of MongoDB 7.0. It checks that
// docs/unsupported.md lists each unsupported feature with the server's error, and
// that the server rejects no feature as an unknown name, except for commands.
func TestUnsupportedFeatures(t *testing.T) {
	p := dial(t, startServer(t))
	var page strings.Builder
	page.WriteString(`# Unsupported features

This page lists the features of MongoDB 7.0 that mongolite does not support, and
the errors that clients get for them. Nothing is silently ignored: mongolite
supports all features that are not listed, and for a name that MongoDB does not
have it returns MongoDB's error for unknown names.

This page is generated from the tables in the code and from the replies of a
running server:

    go test ./server -run TestUnsupportedFeatures -update
`)
	var messages []string
	for _, s := range featureGroups() {
		groups := map[string][]string{} // names by form: the error with … in place of the name
		var forms []string              // the keys of groups in the order of appearance
		for _, pr := range s.probes {
			code, message := replyError(p.run(pr.cmd))
			isRejected := strings.HasPrefix(message, "mongolite does not support ") || s.title == "Commands"
			switch {
			case !isRejected && isUnknownName(code, message):
				t.Errorf("%s: %s: got the error %d %s, want one that does not call the name unknown", s.title, pr.name, code, message)
				continue
			case !isRejected: // supported; the arguments of the probe may be invalid
				continue
			case s.title == "Commands" && code != 59:
				t.Errorf("command %s: got the error %d %s, want code 59", pr.name, code, message)
			}
			messages = append(messages, message)
			form := fmt.Sprintf("%d `%s`", code, strings.ReplaceAll(message, pr.name, "…"))
			if groups[form] == nil {
				forms = append(forms, form)
			}
			if !slices.Contains(groups[form], pr.name) {
				groups[form] = append(groups[form], pr.name)
			}
		}
		if len(forms) > 0 {
			writeSection(&page, s, forms, groups)
		}
	}
	checkCallSites(t, messages)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(unsupportedDoc), 0o755))
		must(t, os.WriteFile(unsupportedDoc, []byte(page.String()), 0o644))
	}
	current, err := os.ReadFile(unsupportedDoc)
	must(t, err)
	if string(current) != page.String() {
		t.Errorf("%s does not match the server's replies: run go test ./server -run TestUnsupportedFeatures -update", unsupportedDoc)
	}
}

// writeSection writes a section of the page: for each form of an error, the names of
// the features that get it, in lines of at most 100 bytes.
func writeSection(page *strings.Builder, s featureGroup, forms []string, groups map[string][]string) {
	fmt.Fprintf(page, "\n## %s\n", s.title)
	if s.about != "" {
		fmt.Fprintf(page, "\n%s\n", s.about)
	}
	for _, form := range forms {
		fmt.Fprintf(page, "\n%s:\n", form)
		width := 100
		for i, name := range groups[form] {
			if width += len(name) + 4; width > 100 {
				page.WriteString("\n")
				width = len(name) + 4
			} else {
				page.WriteString(" ")
			}
			fmt.Fprintf(page, "`%s`", name)
			if i < len(groups[form])-1 {
				page.WriteString(",")
			}
		}
		page.WriteString("\n")
	}
}

// replyError returns the code and message of a reply or, if it has write errors, of
// the first one.
func replyError(reply bson.D) (code int32, message string) {
	if errs, _ := lookup(reply, "writeErrors").(bson.A); len(errs) > 0 {
		reply = errs[0].(bson.D)
	}
	code, _ = lookup(reply, "code").(int32)
	message, _ = lookup(reply, "errmsg").(string)
	return code, message
}

// checkCallSites checks that every call of mongoerr.Unsupported in the code is
// covered by a probe, so that its message is on the page.
func checkCallSites(t *testing.T, messages []string) {
	t.Helper()
	files, err := filepath.Glob("../internal/*/*.go")
	must(t, err)
	serverFiles, err := filepath.Glob("*.go")
	must(t, err)
	sites := 0
	for _, file := range append(files, serverFiles...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, 0)
		must(t, err)
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || fun.Sel.Name != "Unsupported" {
				return true
			}
			arg, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the first argument of Unsupported is not a literal", fset.Position(call.Pos()))
				return true
			}
			sites++
			format, err := strconv.Unquote(arg.Value)
			must(t, err)
			pattern := regexp.MustCompile(`%[svdq]`).ReplaceAllString(regexp.QuoteMeta(format), ".+")
			matching := regexp.MustCompile("^mongolite does not support " + pattern + "$")
			if !slices.ContainsFunc(messages, matching.MatchString) {
				t.Errorf("%s: no probe in featureGroups is rejected with %q", fset.Position(call.Pos()), format)
			}
			return true
		})
	}
	if sites < 20 {
		t.Errorf("found %d calls of Unsupported, want at least 20", sites)
	}
}
