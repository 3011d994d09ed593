import StockFormats
import StockModel

/// The schemas of the OpenAPI document (JSON Schema 2020-12). Those of requests are made of the tables of fields.
enum NativeSchemas {
    /// In the order in which the document has them.
    static let all: [(name: String, schema: JSONValue)] =
        [
            ("JobRequest", JobBody.definitions.requestSchema { JobField(rawValue: $0)?.defaultValue ?? .null }),
            (
                "Submission",
                object(
                    ["jobs": ["type": "array", "minItems": 1, "maxItems": 500, "items": reference("JobRequest")]],
                    required: ["jobs"])
            ), ("Job", job), ("Jobs", list("jobs", "Job")), ("AcceptedJob", acceptedJob),
            ("AcceptedJobs", list("jobs", "AcceptedJob")), ("Decision", decision),
            ("Decisions", list("jobs", "Decision")),
            ("ItemRequest", ItemBody.definitions.requestSchema { _ in .null }), ("ItemChange", itemChange),
            ("Item", item),
            (
                "Items",
                list("items", "Item", more: ["next": ["type": "string", "format": "uri-reference"]])
            ), ("Stock", stock), ("Notification", notification),
            ("Notifications", list("notifications", "Notification", more: ["cursor": cursor], required: ["cursor"])),
            ("StorableJSON", storableJSON), ("Problem", problem),
        ] + ofNotifications

    // MARK: values

    /// The ids of stores, items, locations and so on; see `HiddenCharacters`.
    static let id: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": 200, "pattern": .string(HiddenCharacters.idPattern),
    ]
    static let time: JSONValue = ["type": "string", "format": "date-time"]
    static let quantity: JSONValue = range(Quantity.range)
    static let jobID: JSONValue = ["type": "integer", "format": "int64", "minimum": 1]
    static let count: JSONValue = ["type": "integer", "format": "int64", "minimum": 0]
    private static let cursor: JSONValue = ["type": "string", "pattern": .string(NotificationCursorText.pattern)]
    static let text: JSONValue = ["type": "string"]
    static let flag: JSONValue = ["type": "boolean"]
    private static let anyObject: JSONValue = ["type": "object"]

    /// PostgreSQL stores no NUL character in a text (manual, section 8.3), nor in jsonb (section 8.14).
    fileprivate static let withoutNUL: JSONValue = .string(#"^[^\u0000]*$"#)
    fileprivate static let storableObject: JSONValue = [
        "type": "object", "propertyNames": ["pattern": withoutNUL],
        "additionalProperties": reference("StorableJSON"),
    ]
    private static let storableJSON: JSONValue = [
        "description": "any JSON value without a NUL character in its texts and names",
        "anyOf": [
            ["type": ["null", "boolean", "number"]], ["type": "string", "pattern": withoutNUL],
            ["type": "array", "items": reference("StorableJSON")], storableObject,
        ],
    ]

    static func range(_ range: ClosedRange<Int64>) -> JSONValue {
        [
            "type": "integer", "format": "int64", "minimum": .integer(range.lowerBound),
            "maximum": .integer(range.upperBound),
        ]
    }

    static func labels<Label: DatabaseLabel>(_ type: Label.Type) -> JSONValue {
        ["type": "string", "enum": .array(Label.allCases.map { .string($0.rawValue) })]
    }

    static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }

    static func object(_ properties: JSONValue, required: [String], isOpen: Bool = false) -> JSONValue {
        .object(
            [
                JSONMember("type", "object"), JSONMember("required", .array(required.map { .string($0) })),
                JSONMember("properties", properties),
            ] + (isOpen ? [] : [JSONMember("additionalProperties", false)]))
    }

    static func list(
        _ member: String, _ name: String, more: JSONValue = [:], required: [String] = []
    ) -> JSONValue {
        var properties = [JSONMember(member, ["type": "array", "items": reference(name)])]
        if case .object(let members) = more { properties += members }
        return object(.object(properties), required: [member] + required)
    }

    // MARK: answers

    private static let states = ["ready", "scheduled", "waiting", "retrying", "paused", "finished"]

    private static let balances: [JSONMember] = [
        JSONMember("applied_quantity", quantity), JSONMember("on_hand_before", quantity),
        JSONMember("on_hand_after", quantity), JSONMember("allocated_before", quantity),
        JSONMember("allocated_after", quantity),
    ]

    private static let job: JSONValue = object(
        .object(
            [
                JSONMember("job_id", jobID),
                JSONMember("state", ["type": "string", "enum": .array(states.map { .string($0) })]),
                JSONMember("store_id", text), JSONMember("item_id", text), JSONMember("location_id", text),
                JSONMember("action", labels(StockAction.self)), JSONMember("quantity", quantity),
                JSONMember("on_insufficient", labels(InsufficientStockPolicy.self)),
                JSONMember("priority", range(1...Int64(JobRequest.priorityMax))), JSONMember("group_id", text),
                JSONMember("ordering_key", text), JSONMember("idempotency_key", text), JSONMember("reference", text),
                JSONMember("reason", text), JSONMember("actor", text), JSONMember("occurred_at", time),
                JSONMember("metadata", anyObject), JSONMember("counted_at", time), JSONMember("enqueued_at", time),
                JSONMember("run_at", time),
                JSONMember("finished_at", time),
                JSONMember("outcome", labels(Outcome.self)), JSONMember("code", labels(ResultCode.self)),
                JSONMember("warning", labels(ResultWarning.self)),
            ] + balances + [
                JSONMember("version", count), JSONMember("first_job_id", jobID), JSONMember("retry_of", jobID),
                JSONMember("message", text),
            ]), required: ["job_id", "state", "store_id", "item_id", "location_id", "action", "quantity"])

    private static let acceptedJob = object(
        ["job_id": jobID, "is_duplicate": flag], required: ["job_id", "is_duplicate"])

    private static let decision: JSONValue = object(
        .object(
            [
                JSONMember("waits", flag), JSONMember("outcome", labels(Outcome.self)),
                JSONMember("code", labels(ResultCode.self)),
            ] + balances), required: ["waits", "applied_quantity"])

    // MARK: items and notifications

    private static let itemChange: JSONValue = {
        let properties = ItemBody.attributes.map { field in
            JSONMember(field.rawValue, field.definition.schema(isNullable: field != .tracked, default: .null))
        }
        return object(.object(properties), required: [])
    }()

    private static let item: JSONValue = object(
        [
            "store_id": text, "item_id": text, "location_id": text, "parent_id": text, "on_hand": quantity,
            "allocated": count, "available": quantity, "tracked": flag, "low_stock_threshold": count,
            "alert_level": labels(AlertLevel.self), "version": count, "created_at": time, "updated_at": time,
        ],
        required: [
            "store_id", "item_id", "location_id", "on_hand", "allocated", "available", "tracked", "alert_level",
            "version", "created_at", "updated_at",
        ])

    private static let stock: JSONValue = object(
        [
            "store_id": text, "item_id": text, "location_id": text, "at": time, "on_hand": quantity,
            "allocated": count, "available": quantity, "version": count,
        ],
        required: [
            "store_id", "item_id", "location_id", "at", "on_hand", "allocated", "available", "version",
        ])

    private static let notification: JSONValue = object(
        [
            "notification_id": jobID, "store_id": text, "item_id": text, "location_id": text,
            "kind": labels(NotificationKind.self), "low_stock_threshold": count, "available_before": quantity,
            "available_after": quantity, "job_id": jobID, "version": count, "created_at": time,
        ],
        required: [
            "notification_id", "store_id", "item_id", "location_id", "kind", "available_before", "available_after",
            "version", "created_at",
        ])

    // MARK: problems

    private static let problem: JSONValue = object(
        [
            "type": [
                "type": "string", "format": "uri-reference",
                "enum": .array(ProblemType.allCases.map { .string($0.uri) }),
            ], "title": text, "status": ["type": "integer", "minimum": 400, "maximum": 599], "detail": text,
            "code": labels(ResultCode.self),
            "errors": [
                "type": "array",
                "items": object(
                    ["pointer": text, "parameter": text, "header": text, "detail": text], required: ["detail"]),
            ], "jobs": ["type": "array", "items": reference("Job")],
        ], required: ["type", "title", "status", "detail"], isOpen: true)
}

extension FieldDefinition {
    /// - Parameter isNullable: a null means that the field is not given.
    fileprivate func schema(isNullable: Bool, default value: FieldValue) -> JSONValue {
        var members: [JSONMember]
        switch kind {
        case .text(let bytesMax): members = Self.text(bytesMax) + [JSONMember("pattern", NativeSchemas.withoutNUL)]
        case .id(let bytesMax):
            members = Self.text(bytesMax) + [JSONMember("pattern", .string(HiddenCharacters.idPattern))]
        case .wholeNumber(let range): members = NativeSchemas.range(range).members
        case .choice(let labels):
            members = [
                JSONMember("type", "string"),
                JSONMember("enum", .array(labels.map { .string($0) } + (isNullable ? [.null] : []))),
            ]
        case .flag: members = [JSONMember("type", "boolean")]
        case .time: members = NativeSchemas.time.members
        case .object: members = NativeSchemas.storableObject.members
        }
        if isNullable, let index = members.firstIndex(where: { $0.key == "type" }) {
            members[index].value = [members[index].value, "null"]
        }
        switch value {
        case .null, .time: break
        case .text(let text): members.append(JSONMember("default", .string(text)))
        case .integer(let number): members.append(JSONMember("default", .integer(number)))
        case .flag(let flag): members.append(JSONMember("default", .bool(flag)))
        }
        members.append(JSONMember("description", .string(help)))
        return .object(members)
    }

    private static func text(_ bytesMax: Int) -> [JSONMember] {
        [JSONMember("type", "string"), JSONMember("minLength", 1), JSONMember("maxLength", .integer(bytesMax))]
    }
}

extension [FieldDefinition] {
    /// The schema of an object with these fields.
    func requestSchema(default value: (String) -> FieldValue) -> JSONValue {
        NativeSchemas.object(.object(properties(default: value)), required: filter(\.isRequired).map(\.name))
    }

    /// The schemas of the fields by their names.
    func properties(default value: (String) -> FieldValue) -> [JSONMember] {
        map { JSONMember($0.name, $0.schema(isNullable: !$0.isRequired, default: value($0.name))) }
    }
}

extension JSONValue {
    var members: [JSONMember] {
        if case .object(let members) = self { members } else { [] }
    }
}
