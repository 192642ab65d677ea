"""The functions that need no permission: they compute from their arguments, and reach for nothing else.

Functions are known by the parser's class where it has one, by name where it has none. What is on no list is refused:
external and AI functions, the user's own, everything of SYSTEM$, and all that a later version will know. Each of them
is Snowflake's own, and so no user's function can have its name.
"""

_TEXT = """
Ascii Base64DecodeBinary Base64DecodeString Base64Encode BitLength ByteLength Chr Collate Collation Compress Concat
ConcatWs Contains DecompressBinary DecompressString EndsWith Hex HexDecodeString Initcap JarowinklerSimilarity Left
Length Levenshtein Lower MD5 MD5Digest MD5NumberLower64 MD5NumberUpper64 Pad ParseIp ParseUrl RegexpCount
RegexpExtract RegexpExtractAll RegexpInstr RegexpLike RegexpReplace RegexpSubstr Repeat Replace Reverse Right
RtrimmedLength SHA SHA1Digest SHA2 SHA2Digest Soundex SoundexP123 Split SplitPart StartsWith StrPosition Strtok
StrtokToArray Stuff Substring Translate Trim TryBase64DecodeBinary TryBase64DecodeString TryHexDecodeBinary
TryHexDecodeString Unhex Unicode Upper
"""
_NUMBERS = """
Abs Acos Acosh Asin Asinh Atan Atan2 Atanh Cbrt Ceil Cos Cosh Cot Degrees Exp Factorial Floor Getbit
Greatest Least Ln Log Pi Pow Radians Round Sign Sin Sinh Sqrt Tan Tanh Trunc WidthBucket
"""
_CHOICES = """
And Booland Boolnot Boolor Case Coalesce DecodeCase EqualNull Exists If IsNullValue Nullif Nvl2 Or Xor
"""
_TIME = """
AddMonths ConvertTimezone DateAdd DateDiff DateFromParts DateTrunc Day DayOfMonth DayOfWeek DayOfWeekIso DayOfYear
Dayname Extract Hour LastDay Minute Month Monthname MonthsBetween NextDay PreviousDay Quarter Second StrToDate
StrToTime TimeAdd TimeFromParts TimeSlice TimeToStr TimestampFromParts TimestampLtzFromParts TimestampTrunc
TimestampTzFromParts TsOrDsToDate TsOrDsToTime TsOrDsToTimestamp UnixToTime Week WeekOfYear Year YearOfWeek
YearOfWeekIso
"""
_CONVERSIONS = """
Cast TryCast ToArray ToBinary ToBoolean ToChar ToDecfloat ToDouble ToNumber ToVariant TryToDecfloat
"""
_SEMISTRUCTURED = """
Array ArrayAppend ArrayCompact ArrayConcat ArrayConstructCompact ArrayContains ArrayDistinct ArrayExcept ArrayFilter
ArrayInsert ArrayIntersect ArrayMax ArrayMin ArrayOverlaps ArrayPosition ArrayPrepend ArrayRemove ArrayRemoveAt
ArrayReverse ArraySize ArraySlice ArraySort ArrayToString ArraysZip CheckJson CheckXml Explode Flatten GenerateSeries
GetExtract GetIgnoreCase IsArray JSONExtract JSONFormat JSONKeys JSONObject MapCat MapContainsKey MapDelete MapInsert
MapKeys MapPick MapSize ObjectInsert ParseJSON Reduce SplitToTable StarMap StripNullValue StrtokSplitToTable Struct
Transform Typeof XMLGet
"""
_AGGREGATES = """
AnyValue ApproxDistinct ApproxPercentileAccumulate ApproxPercentileCombine ApproxPercentileEstimate ApproxQuantile
ApproxTopK ApproxTopKAccumulate ApproxTopKCombine ApproxTopKEstimate ApproximateSimilarity ArgMax ArgMin ArrayAgg
ArrayConcatAgg ArrayUnionAgg ArrayUniqueAgg Avg BitmapBitPosition BitmapBucketNumber BitmapConstructAgg BitmapCount
BitmapOrAgg BitwiseAndAgg BitwiseOrAgg BitwiseXorAgg BoolxorAgg Corr Count CountIf CovarPop CovarSamp GroupConcat
Grouping GroupingId HashAgg Hll Kurtosis LogicalAnd LogicalOr Max Median Min Minhash MinhashCombine Mode ObjectAgg
PercentileCont PercentileDisc RegrAvgx RegrAvgy RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy
RegrValx RegrValy Skewness Stddev StddevPop StddevSamp Sum Variance VariancePop
"""
_WINDOWS = """
ConnectByRoot CumeDist DenseRank FirstValue Lag LastValue Lead NthValue Ntile PercentRank Rank RowNumber
"""
_PLACES = """
CosineDistance DotProduct EuclideanDistance ManhattanDistance StDistance StPoint
"""
_UNSTEADY = """
CurrentDate CurrentTimestamp CurrentTime Localtime Localtimestamp Normal Rand Randstr Seq1 Seq2
Seq4 Seq8 Uniform Uuid
"""
_OF_THE_SESSION = """
CurrentDatabase CurrentSchema
"""

UNSTEADY_CLASSES = frozenset((_UNSTEADY + _OF_THE_SESSION).split())
"""Permitted, and never the same answer twice, or one that depends on who asks."""

CLASSES = UNSTEADY_CLASSES.union(
    *(
        group.split()
        for group in (
            _TEXT,
            _NUMBERS,
            _CHOICES,
            _TIME,
            _CONVERSIONS,
            _SEMISTRUCTURED,
            _AGGREGATES,
            _WINDOWS,
            _PLACES,
        )
    )
)
"""Names of the parser's classes."""

UNSTEADY_NAMES = frozenset({"ZIPF"})

_NAMES = """
ARRAY_AGG ARRAY_CAT ARRAY_FLATTEN ARRAY_TO_STRING AS_ARRAY AS_BINARY AS_BOOLEAN AS_CHAR AS_DATE AS_DECIMAL AS_DOUBLE
AS_INTEGER AS_NUMBER AS_OBJECT AS_REAL AS_TIME AS_TIMESTAMP_LTZ AS_TIMESTAMP_NTZ AS_TIMESTAMP_TZ AS_VARCHAR CEIL
CHARINDEX CONDITIONAL_CHANGE_EVENT CONDITIONAL_TRUE_EVENT DATE HASH HAVERSINE HLL_ACCUMULATE HLL_COMBINE
HLL_ESTIMATE HLL_EXPORT HLL_IMPORT IS_BINARY IS_BOOLEAN IS_CHAR IS_DATE IS_DATE_VALUE IS_DECIMAL IS_DOUBLE IS_INTEGER
IS_NULL_VALUE IS_OBJECT IS_REAL IS_TIME IS_TIMESTAMP_LTZ IS_TIMESTAMP_NTZ IS_TIMESTAMP_TZ IS_VARCHAR MOD OBJECT_DELETE
OBJECT_PICK PARSE_XML RATIO_TO_REPORT REGEXP_SUBSTR TO_BINARY TO_CHAR TO_DATE TO_GEOGRAPHY TO_GEOMETRY TO_JSON
TO_OBJECT TO_TIME TO_TIMESTAMP TO_TIMESTAMP_LTZ TO_TIMESTAMP_NTZ TO_TIMESTAMP_TZ TO_VARCHAR TO_XML TRY_TO_DATE
TRY_TO_GEOGRAPHY TRY_TO_TIME TRY_TO_TIMESTAMP TRY_TO_TIMESTAMP_LTZ TRY_TO_TIMESTAMP_NTZ TRY_TO_TIMESTAMP_TZ
VECTOR_INNER_PRODUCT VECTOR_L1_DISTANCE VECTOR_L2_DISTANCE ST_AREA ST_ASGEOJSON ST_ASTEXT ST_ASWKT ST_BUFFER
ST_CENTROID ST_CONTAINS ST_COVEREDBY ST_COVERS ST_DISJOINT ST_DWITHIN ST_ENVELOPE ST_GEOGRAPHYFROMWKT ST_INTERSECTS
ST_INTERSECTION ST_ISVALID ST_LENGTH ST_MAKELINE ST_MAKEPOLYGON ST_PERIMETER ST_SIMPLIFY ST_UNION ST_WITHIN ST_X ST_Y
H3_CELL_TO_BOUNDARY H3_CELL_TO_PARENT H3_CELL_TO_POINT H3_LATLNG_TO_CELL H3_LATLNG_TO_CELL_STRING
"""
NAMES = UNSTEADY_NAMES.union(_NAMES.split())
"""Names of those that the parser has no class for."""

TABLE_CLASSES = frozenset({"Explode", "Flatten", "Generator", "SplitToTable", "StrtokSplitToTable"})
"""What may stand in FROM; everything else there is a user's table function, and must be listed."""

MOST_GENERATED_ROWS = 1_000_000
"""Of GENERATOR(ROWCOUNT => n)."""

_LISTABLE = """
AIAgg AIClassify AIEmbed AISimilarity AISummarizeAgg CurrentAccount CurrentAccountName CurrentOrganizationName
CurrentRegion CurrentRole CurrentTimezone CurrentUser CurrentVersion CurrentWarehouse Decrypt DecryptRaw Encrypt
EncryptRaw ToFile
"""
LISTABLE_CLASSES = frozenset(_LISTABLE.split())
"""What the parser knows, and only the Connector's list can open; IDENTIFIER and its like never."""
