import HTTPServer
import StockFormats
import StockModel

/// The description of the native API (OpenAPI 3.1), made of its operations and of the tables of fields.
enum OpenAPIDocument {
    /// One line of JSON.
    static func json(_ operations: [NativeOperation]) -> [UInt8] {
        var writer = JSONWriter()
        writer.write(document(operations))
        return writer.bytes
    }

    private static func document(_ operations: [NativeOperation]) -> JSONValue {
        [
            "openapi": "3.1.0", "info": info, "servers": [["url": "/"]], "security": [["token": []]],
            "paths": paths(operations),
            "components": [
                "securitySchemes": [
                    "token": ["type": "http", "scheme": "bearer", "description": "stockq tokens create"]
                ], "parameters": .object(pathParameters.map { JSONMember($0.name, $0.definition) }),
                "headers": .object(headers.map { JSONMember($0.name, $0.definition) }),
                "schemas": .object(NativeSchemas.all.map { JSONMember($0.name, $0.schema) }),
                "responses": .object(problemStatuses(operations).map { JSONMember("Problem\($0)", problem($0)) }),
            ],
        ]
    }

    private static let info: JSONValue = [
        "title": "stockq", "version": "1",
        "description": """
        Stock adjustments from a queue in PostgreSQL. A job is one action on one item; its result says what became of it. \
        An answer with an error means that nothing was applied, and that nothing will be. Ids have at most 200 bytes, \
        reason and reference 2,000, in UTF-8.
        """,
    ]

    // MARK: paths

    private static func paths(_ operations: [NativeOperation]) -> JSONValue {
        var paths: [JSONMember] = []
        for operation in operations {
            let member = JSONMember(operation.method.description.lowercased(), describe(operation))
            if let index = paths.firstIndex(where: { $0.key == operation.path }) {
                paths[index].value = .object(paths[index].value.members + [member])
            } else {
                let names = PathPattern(operation.path).names
                let parameters = names.map { name -> JSONValue in ["$ref": .string("#/components/parameters/\(name)")] }
                let shared = names.isEmpty ? [] : [JSONMember("parameters", .array(parameters))]
                paths.append(JSONMember(operation.path, .object(shared + [member])))
            }
        }
        return .object(paths)
    }

    private static func describe(_ operation: NativeOperation) -> JSONValue {
        var members = [
            JSONMember("operationId", .string(operation.id)), JSONMember("summary", .string(operation.summary)),
        ]
        if operation.isPublic {
            members.append(JSONMember("security", []))
        } else {
            let scopes = operation.scopes.map(\.rawValue).sorted().joined(separator: ", ")
            members.append(
                JSONMember("description", .string("Scope: \(scopes.isEmpty ? "any" : scopes).")))
        }
        if !operation.parameters.isEmpty {
            members.append(JSONMember("parameters", .array(operation.parameters.map(describe))))
        }
        if let body = operation.body {
            members.append(
                JSONMember(
                    "requestBody",
                    ["required": true, "content": ["application/json": ["schema": NativeSchemas.reference(body)]]]))
        }
        members.append(JSONMember("responses", responses(of: operation)))
        return .object(members)
    }

    private static func describe(_ parameter: NativeOperation.Parameter) -> JSONValue {
        [
            "name": .string(parameter.name), "in": .string(parameter.location.rawValue),
            "description": .string(parameter.help), "schema": parameter.schema,
        ]
    }

    // MARK: answers

    private static func responses(of operation: NativeOperation) -> JSONValue {
        let answers = operation.answers.map { answer in
            let isJSON = answer.mediaType == "application/json"
            let schema = answer.schema.map { NativeSchemas.reference($0) } ?? ["type": isJSON ? "object" : "string"]
            let fields = ["Request-Id"] + (operation.isPublic ? [] : ["RateLimit", "RateLimit-Policy"]) + answer.fields
            let links = answer.links.map { JSONMember($0.operationID, describe($0)) }
            let content = answer.mediaType.map { JSONMember($0, ["schema": schema]) }
            return JSONMember(
                String(answer.status),
                .object(
                    [
                        JSONMember("description", .string(answer.help)), JSONMember("headers", references(fields)),
                    ] + (content.map { [JSONMember("content", .object([$0]))] } ?? [])
                        + (links.isEmpty ? [] : [JSONMember("links", .object(links))])))
        }
        let problems = operation.allProblems.map { status in
            JSONMember(String(status), ["$ref": .string("#/components/responses/Problem\(status)")])
        }
        return .object(answers + problems)
    }

    private static func describe(_ link: NativeOperation.Link) -> JSONValue {
        [
            "operationId": .string(link.operationID),
            "parameters": .object([
                JSONMember("store_id", "$request.path.store_id"),
                JSONMember(link.parameter, .string("$response.body#\(link.pointer)")),
            ]),
        ]
    }

    private static func problemStatuses(_ operations: [NativeOperation]) -> [Int] {
        Set(operations.flatMap(\.allProblems)).sorted()
    }

    private static func problem(_ status: Int) -> JSONValue {
        let types = ProblemType.allCases.filter { $0.status.code == status && $0 != .httpError }
        let titles = types.isEmpty ? "The request cannot be processed" : types.map(\.title).joined(separator: "; ")
        let fields: [String] =
            switch status {
            case 401, 403: ["Request-Id", "WWW-Authenticate"]
            case 429: ["Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"]
            case 503: ["Request-Id", "Retry-After"]
            default: ["Request-Id"]
            }
        return [
            "description": .string(titles), "headers": references(fields),
            "content": ["application/problem+json": ["schema": NativeSchemas.reference("Problem")]],
        ]
    }

    private static func references(_ headers: [String]) -> JSONValue {
        .object(headers.map { JSONMember($0, ["$ref": .string("#/components/headers/\($0)")]) })
    }

    private static let headers: [(name: String, definition: JSONValue)] = [
        header("Request-Id", "The Request-Id of the request, or a new one; the log of the gateway has it."),
        header("RateLimit", "How many requests the token has left, and the seconds until it has all of them again."),
        header("RateLimit-Policy", "How many requests a token has in how many seconds."),
        header("Location", "The path of the resource."),
        header("Preference-Applied", "The preferences that were followed (RFC 7240)."),
        header("WWW-Authenticate", "The scheme, and what is wrong with the token (RFC 6750)."),
        (
            "Retry-After",
            [
                "description": "Seconds to wait before the request is sent again.",
                "schema": ["type": "integer", "minimum": 1, "maximum": 60],
            ]
        ),
    ]

    private static func header(_ name: String, _ help: String) -> (name: String, definition: JSONValue) {
        (name, ["description": .string(help), "schema": ["type": "string"]])
    }

    // MARK: the parts of paths

    private static let pathParameters: [(name: String, definition: JSONValue)] = [
        part("store_id", "The store; one of the token's.", NativeSchemas.id),
        part("item_id", "The item.", NativeSchemas.id), part("job_id", "The job.", NativeSchemas.jobID),
        part("group_id", "The group's name.", NativeSchemas.id),
        part("subscription_id", "The subscription.", NativeSchemas.jobID),
        part("delivery_id", "The delivery.", NativeSchemas.jobID),
        part("idempotency_key", "The key.", NativeSchemas.id),
        part(
            "submission", "The ids of its first and last job.",
            ["type": "string", "pattern": "^[1-9][0-9]{0,17}-[1-9][0-9]{0,17}$"]),
        part(
            "problem", "The name of a type of problems.",
            ["type": "string", "enum": .array(ProblemType.allCases.map { .string($0.rawValue) })]),
    ]

    private static func part(
        _ name: String, _ help: String, _ schema: JSONValue
    ) -> (name: String, definition: JSONValue) {
        (
            name,
            ["name": .string(name), "in": "path", "required": true, "description": .string(help), "schema": schema]
        )
    }
}

extension PathPattern {
    /// The names of the parts in braces.
    var names: [String] {
        description.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }
}
