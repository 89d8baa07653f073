// What the protocol tests take from other models: the shapes of their shared namespace that they name, and Smithy's own.
$version: "2.0"
namespace shared

byte Byte
short Short
integer Integer
long Long
float Float
double Double
blob Blob
structure Unit {}

@timestampFormat("date-time") timestamp DateTime
@timestampFormat("epoch-seconds") timestamp EpochSeconds
@timestampFormat("http-date") timestamp HttpDate
@mediaType("image/jpeg") blob JpegBlob
@mediaType("text/plain") blob TextPlainBlob

enum FooEnum { FOO = "Foo", BAZ = "Baz", BAR = "Bar", ONE = "1", ZERO = "0" }
intEnum IntegerEnum { A = 1, B = 2, C = 3 }
structure GreetingStruct { hi: String }
union FooUnion { string: String, integer: Integer }

list StringList { member: String }
list NestedStringList { member: StringList }
list IntegerList { member: Integer }
list DoubleList { member: Double }
list BooleanList { member: Boolean }
list TimestampList { member: Timestamp }
list FooEnumList { member: FooEnum }
list IntegerEnumList { member: IntegerEnum }
@sparse list SparseStringList { member: String }
@sparse list SparseShortList { member: Short }

@uniqueItems list StringSet { member: String }
@uniqueItems list BlobSet { member: Blob }
@uniqueItems list BooleanSet { member: Boolean }
@uniqueItems list ByteSet { member: Byte }
@uniqueItems list ShortSet { member: Short }
@uniqueItems list IntegerSet { member: Integer }
@uniqueItems list LongSet { member: Long }
@uniqueItems list TimestampSet { member: Timestamp }
@uniqueItems list DateTimeSet { member: DateTime }
@uniqueItems list HttpDateSet { member: HttpDate }
@uniqueItems list FooEnumSet { member: FooEnum }
@uniqueItems list IntegerEnumSet { member: IntegerEnum }
@uniqueItems list ListSet { member: StringList }
@uniqueItems list StructureSet { member: GreetingStruct }
@uniqueItems list UnionSet { member: FooUnion }

map StringMap { key: String, value: String }
map StringListMap { key: String, value: StringList }
map FooEnumMap { key: String, value: FooEnum }
map IntegerEnumMap { key: String, value: IntegerEnum }
@sparse map SparseStringMap { key: String, value: String }

structure ValidationExceptionField {
    @required path: String
    @required message: String
}
list ValidationExceptionFieldList { member: ValidationExceptionField }
@error("client")
structure ValidationException {
    @required message: String
    fieldList: ValidationExceptionFieldList
}
