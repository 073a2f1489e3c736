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

var update = flag.Bool("update", false, "write docs/refused.md")

const refusedDoc = "../docs/refused.md"

// probe is a thing of MongoDB's and a command that asks for it.
type probe struct {
	name string
	cmd  string
}

// section is a group of probes in the docs.
type refusals struct {
	title, about string
	probes       []probe
}

// probes makes one probe for each of the names: NAME stands for it in the command.
func probes(names, cmd string) (list []probe) {
	for _, name := range strings.Fields(names) {
		list = append(list, probe{name, strings.ReplaceAll(cmd, "NAME", name)})
	}
	return list
}

// The names that MongoDB 7.0's manual has, done here or not: a name that is in
// neither state is an error of the test.
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

// sections returns all that is asked. What belongs to a table in the code
// comes from there.
func sections() []refusals {
	fields := refusals{title: "Fields of commands", about: "Refused unless they ask for nothing: false, null, an empty document, the collation `simple`."}
	for _, name := range slices.Sorted(maps.Keys(server.Commands())) {
		for _, f := range server.Commands()[name].Lacks {
			fields.probes = append(fields.probes, probe{name + "." + f, fmt.Sprintf(`{%q: "c", %q: {"x": 1}}`, name, f)})
		}
	}
	for _, f := range server.Lacks["update.updates"] {
		fields.probes = append(fields.probes, probe{"update.updates." + f, fmt.Sprintf(`{"update": "c", "updates": [{"q": {}, "u": [], %q: {"x": 1}}]}`, f)})
	}
	for _, f := range server.Lacks["delete.deletes"] {
		fields.probes = append(fields.probes, probe{"delete.deletes." + f, fmt.Sprintf(`{"delete": "c", "deletes": [{"q": {}, "limit": 1, %q: {"x": 1}}]}`, f)})
	}
	any := refusals{title: "Fields of any command", about: "The first two begin and continue a transaction of several statements."}
	for _, f := range server.LackedByAll() {
		v := true
		if f == "autocommit" {
			v = false
		}
		any.probes = append(any.probes, probe{"find." + f, fmt.Sprintf(`{"find": "c", %q: %v}`, f, v)})
	}
	for _, f := range []string{"uid", "txnNumber", "txnUUID"} {
		any.probes = append(any.probes, probe{"lsid." + f, fmt.Sprintf(`{"ping": 1, "lsid": {"id": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}, %q: 1}}`, f)})
	}
	index := refusals{title: "Indexes"}
	for _, kind := range []string{"text", "hashed", "2d", "2dsphere", "columnstore"} {
		index.probes = append(index.probes, probe{kind + " indexes", fmt.Sprintf(`{"createIndexes": "c", "indexes": [{"name": "x", "key": {"x": %q}}]}`, kind)})
	}
	index.probes = append(index.probes, probe{"wildcard indexes", `{"createIndexes": "c", "indexes": [{"name": "x", "key": {"$**": 1}}]}`},
		probe{"an index version other than 2", `{"createIndexes": "c", "indexes": [{"name": "x", "key": {"x": 1}, "v": 1}]}`},
		probe{"Decimal128 in _id or an indexed field", `{"insert": "c", "documents": [{"_id": {"$numberDecimal": "1"}}]}`})
	for _, o := range server.Lacks["createIndexes.indexes"] {
		index.probes = append(index.probes, probe{"createIndexes.indexes." + o, fmt.Sprintf(`{"createIndexes": "c", "indexes": [{"name": "x", "key": {"x": 1}, %q: {"x": 1}}]}`, o)})
	}
	variables := refusals{title: "Variables"}
	for _, v := range strings.Fields(mongoVariables) {
		variables.probes = append(variables.probes, probe{"$$" + v, `{"find": "c", "filter": {"$expr": "$$` + v + `"}}`})
	}
	const agg = `{"aggregate": "c", "cursor": {}, "pipeline": [%s]}`
	return []refusals{
		{"Commands", "They are not there at all, and answered as MongoDB answers a command that it does not know.", probes(mongoCommands, `{"NAME": 1, "$db": "admin"}`)},
		{"Transactions", "", []probe{{"commitTransaction", `{"commitTransaction": 1}`}, {"abortTransaction", `{"abortTransaction": 1}`}}},
		any, fields,
		{"Concerns and sessions", "", []probe{
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
		{"Targets of pipelines", "", []probe{
			{"the option timeseries of $out", fmt.Sprintf(agg, `{"$out": {"db": "d", "coll": "x", "timeseries": {}}}`)},
			{"the option let of $merge", fmt.Sprintf(agg, `{"$merge": {"into": "x", "let": {"y": 1}}}`)},
			{"$merge on other fields than _id", fmt.Sprintf(agg, `{"$merge": {"into": "x", "on": "y"}}`)},
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
		{"Values", "", []probe{
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
		{"Fail points", "There are failCommand and onPrimaryTransactionalWrite, with --test-commands only.", []probe{
			{"the fail point WTWriteConflictException", `{"configureFailPoint": "WTWriteConflictException", "mode": "off"}`},
			{"mode.activationProbability of a fail point", `{"configureFailPoint": "failCommand", "mode": {"activationProbability": 0.5}}`},
			{"data.namespace of failCommand", `{"configureFailPoint": "failCommand", "mode": "off", "data": {"namespace": "a.b"}}`},
			{"data.extraInfo of failCommand", `{"configureFailPoint": "failCommand", "mode": "off", "data": {"extraInfo": 1}}`},
			{"data.threadName of failCommand", `{"configureFailPoint": "failCommand", "mode": "off", "data": {"threadName": "x"}}`},
		}},
	}
}

// unknown tells whether an error is that of a name that MongoDB has not either.
func unknown(code int32, message string) bool {
	switch code {
	case 40324, 40415, 168, 15952, 17276, 197:
		return true
	}
	return strings.Contains(message, "nknown ")
}

// TestUnsupportedFeatures asks for everything that MongoDB has. What is refused must be on
// the page, with its code and words; nothing may be taken for a name that
// MongoDB has not.
func TestUnsupportedFeatures(t *testing.T) {
	p := dial(t, startServer(t))
	var page strings.Builder
	page.WriteString(`# What is refused

Everything of MongoDB 7.0 that mongolite does not do, with the answer that a
client gets. Nothing is ignored silently: what is on no list is done, and what
MongoDB has not is answered with MongoDB's error for an unknown name.

This page is written by ` + "`go test ./server -run TestUnsupportedFeatures -update`" + `, from the
tables in the code and from the answers of a running server.
`)
	var messages []string
	for _, s := range sections() {
		groups := map[string][]string{} // names by the form of their answer
		var forms []string
		for _, pr := range s.probes {
			code, message := refusal(p.run(pr.cmd))
			refused := strings.HasPrefix(message, "mongolite does not support ") || s.title == "Commands"
			switch {
			case !refused && unknown(code, message):
				t.Errorf("%s %s is answered as if MongoDB had it not: %d %s", s.title, pr.name, code, message)
				continue
			case !refused: // it is done, or would be with better arguments
				continue
			case s.title == "Commands" && code != 59:
				t.Errorf("the command %s: %d %s", pr.name, code, message)
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
		if len(forms) == 0 {
			continue
		}
		fmt.Fprintf(&page, "\n## %s\n", s.title)
		if s.about != "" {
			fmt.Fprintf(&page, "\n%s\n", s.about)
		}
		for _, form := range forms {
			fmt.Fprintf(&page, "\n%s:\n", form)
			width := 100
			for i, name := range groups[form] {
				if width += len(name) + 4; width > 100 {
					page.WriteString("\n")
					width = len(name) + 4
				} else {
					page.WriteString(" ")
				}
				fmt.Fprintf(&page, "`%s`", name)
				if i < len(groups[form])-1 {
					page.WriteString(",")
				}
			}
			page.WriteString("\n")
		}
	}
	checkCallSites(t, messages)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(refusedDoc), 0o755))
		must(t, os.WriteFile(refusedDoc, []byte(page.String()), 0o644))
	}
	was, err := os.ReadFile(refusedDoc)
	must(t, err)
	if string(was) != page.String() {
		t.Errorf("%s is not what the server answers: run go test ./server -run TestUnsupportedFeatures -update", refusedDoc)
	}
}

// refusal returns the code and message of a reply, or of its write error.
func refusal(reply bson.D) (code int32, message string) {
	if errs, _ := lookup(reply, "writeErrors").(bson.A); len(errs) > 0 {
		reply = errs[0].(bson.D)
	}
	code, _ = lookup(reply, "code").(int32)
	message, _ = lookup(reply, "errmsg").(string)
	return code, message
}

// checkCallSites holds that each place in the code that refuses something by
// its name is met by an answer on the page.
func checkCallSites(t *testing.T, messages []string) {
	t.Helper()
	files, err := filepath.Glob("../internal/*/*.go")
	must(t, err)
	own, err := filepath.Glob("*.go")
	must(t, err)
	sites := 0
	for _, file := range append(files, own...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, 0)
		must(t, err)
		ast.Inspect(tree, func(n ast.Node) bool {
			lit, ok := n.(*ast.CallExpr)
			if !ok || len(lit.Args) == 0 {
				return true
			}
			fun, ok := lit.Fun.(*ast.SelectorExpr)
			if !ok || fun.Sel.Name != "Unsupported" {
				return true
			}
			arg, ok := lit.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the name of what is refused is no literal", fset.Position(lit.Pos()))
				return true
			}
			sites++
			format, err := strconv.Unquote(arg.Value)
			must(t, err)
			pattern := regexp.MustCompile(`%[svdq]`).ReplaceAllString(regexp.QuoteMeta(format), ".+")
			met := regexp.MustCompile("^mongolite does not support " + pattern + "$")
			if !slices.ContainsFunc(messages, met.MatchString) {
				t.Errorf("%s: nothing in sections() is refused with %q", fset.Position(lit.Pos()), format)
			}
			return true
		})
	}
	if sites < 20 {
		t.Errorf("only %d places refuse something", sites)
	}
}
