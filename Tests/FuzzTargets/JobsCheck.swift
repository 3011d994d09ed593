import StockFormats
import StockModel

/// From the bytes of a jobs file to lines for COPY, or a reported error.
enum JobsCheck {
    static func problem(with bytes: [UInt8], _ format: InputFormat) -> String? {
        let input = InputCheck<JobField>(bytes, format, required: JobField.required)
        if let problem = input.problem { return problem }
        let parser = RecordParser(input.columns.map(\.definition), timeZone: nil)
        for record in input.records {
            if format == .ndjson, let problem = ObjectCheck.problem(with: record, input.columns) { return problem }
            if record.problem != nil { continue }
            let fields = Dictionary(uniqueKeysWithValues: zip(input.columns, record.fields.map { Array($0) }))
            if let problem = problem(with: fields, record, input.columns, parser) { return problem }
        }
        return nil
    }

    private static func problem(
        with fields: [JobField: [UInt8]], _ record: InputRecord, _ columns: [JobField], _ parser: RecordParser
    ) -> String? {
        var job = JobRequest(store: "", item: "", quantity: 0)
        job.priority = 3
        do throws(ValidationError) {
            try parser.parse(record) { job.set(columns[$0], $1) }
            try job.validate()
        } catch {
            return isValid(fields) ? "\(fields) is rejected: \(error)" : nil
        }
        if !isValid(fields) { return "\(fields) is accepted" }
        var line: [UInt8] = []
        COPYText.appendLine(job, JobField.allCases, to: &line)
        guard let written = copyFields(line), written.count == JobField.allCases.count else {
            return "\(line) is not a line of COPY"
        }
        for (field, value) in zip(JobField.allCases, written) {
            let given = fields[field] ?? []
            if !isSame(field, given, value) { return "\(field.rawValue) \(given) is written as \(value ?? [])" }
        }
        return nil
    }

    // MARK: the rules

    private static func isValid(_ fields: [JobField: [UInt8]]) -> Bool {
        func text(_ column: JobField, or fallback: String = "") -> String {
            let bytes = fields[column] ?? []
            return bytes.isEmpty ? fallback : String(decoding: bytes, as: UTF8.self)
        }
        func isEmpty(_ column: JobField) -> Bool { fields[column]?.isEmpty != false }
        if [.storeID, .itemID, .quantity].contains(where: isEmpty) { return false }
        for (column, bytes) in fields where !bytes.isEmpty {
            if !isValid(column, bytes) { return false }
        }
        let quantity = PlainRules.number(fields[.quantity] ?? []) ?? .max
        let action = text(.action, or: "adjust")
        let policies = [
            "adjust": ["reject", "allow", "partial", "wait"], "allocate": ["reject", "allow", "partial", "wait"],
            "set": ["reject", "allow"], "ship": ["reject"], "deallocate": ["reject"],
        ]
        guard policies[action]?.contains(text(.onInsufficient, or: "reject")) == true else { return false }
        if ["allocate", "deallocate", "ship"].contains(action) && quantity <= 0 { return false }
        if action == "set" && quantity < 0 { return false }
        if action != "set" && !isEmpty(.countedAt) { return false }
        let (run, expiry) = (fields[.runAt] ?? [], fields[.expiresAt] ?? [])
        if let run = PlainRules.timestamp(run), let expiry = PlainRules.timestamp(expiry), expiry <= run {
            return false
        }
        return isEmpty(.groupID) || isEmpty(.orderingKey)
    }

    private static func isValid(_ column: JobField, _ bytes: [UInt8]) -> Bool {
        func isNumber(_ range: ClosedRange<Int128>) -> Bool { PlainRules.number(bytes).map(range.contains) == true }
        switch column {
        case .storeID, .itemID, .locationID, .groupID, .orderingKey, .idempotencyKey:
            return PlainRules.isFileID(bytes)
        case .actor: return PlainRules.isText(bytes, bytesMax: 200)
        case .metadata: return object(bytes).map { JSONWriter.text(of: $0).utf8.count <= 10_000 } == true
        case .reason, .reference: return PlainRules.isText(bytes, bytesMax: 2_000)
        case .quantity, .expectedAvailable: return isNumber(-PlainRules.quantityMax...PlainRules.quantityMax)
        case .priority: return isNumber(1...4)
        case .maxAttempts: return isNumber(1...1_000)
        case .notify: return PlainRules.flag(bytes) != nil
        case .runAt, .expiresAt, .countedAt, .occurredAt: return PlainRules.timestamp(bytes) != nil
        // Compared by their bytes, as the database does.
        case .action: return ["adjust", "allocate", "deallocate", "ship", "set"].contains { Array($0.utf8) == bytes }
        case .onInsufficient: return ["reject", "allow", "partial", "wait"].contains { Array($0.utf8) == bytes }
        }
    }

    /// The reader of JSON is fuzzed by itself.
    private static func object(_ bytes: [UInt8]) -> JSONValue? {
        guard let value = try? JSONReader.read(bytes[...]), case .object = value, !hasNUL(value) else { return nil }
        return value
    }

    private static func hasNUL(_ value: JSONValue) -> Bool {
        switch value {
        case .string(let text): text.utf8.contains(0)
        case .array(let elements): elements.contains(where: hasNUL)
        case .object(let members): members.contains { $0.key.utf8.contains(0) || hasNUL($0.value) }
        case .number(let number):
            // Beyond what the database stores.
            number.literal.lowercased().split(separator: "e").dropFirst().contains {
                Int($0).map { abs($0) > 1_000 } ?? true
            }
        default: false
        }
    }

    private static func isSame(_ column: JobField, _ given: [UInt8], _ written: [UInt8]?) -> Bool {
        guard given.isEmpty else {
            switch column {
            case .notify: return PlainRules.flag(given) == written.flatMap(PlainRules.flag)
            case .quantity, .expectedAvailable, .priority, .maxAttempts:
                return written.map(isCanonical) == true
                    && PlainRules.number(given) == written.flatMap(PlainRules.number)
            case .runAt, .expiresAt, .countedAt, .occurredAt: return isSameTime(PlainRules.timestamp(given), written)
            case .metadata: return written.flatMap(object) == object(given)
            default: return written == given
            }
        }
        let defaults: [JobField: String] = [
            .locationID: "main", .action: "adjust", .onInsufficient: "reject", .priority: "3", .notify: "true",
            .maxAttempts: "10",
        ]
        if column == .notify { return written.flatMap(PlainRules.flag) == true }
        return written == defaults[column].map { Array($0.utf8) }
    }

    /// Digits without a plus sign or leading zeros.
    private static func isCanonical(_ bytes: [UInt8]) -> Bool {
        PlainRules.number(bytes).map { Array(String($0).utf8) == bytes } == true
    }

    private static func isSameTime(_ given: Int64?, _ written: [UInt8]?) -> Bool {
        guard let given, let written else { return false }
        // Only the database reads years before 1 and after 9999.
        return PlainRules.timestamp(written) == given || !PlainRules.years.contains(given)
    }

    // MARK: COPY

    /// The fields of one line in COPY's text format, nil for NULL (PostgreSQL manual, COPY, "Text Format").
    private static func copyFields(_ line: [UInt8]) -> [[UInt8]?]? {
        guard line.last == UInt8(ascii: "\n") else { return nil }
        var fields: [[UInt8]?] = []
        for part in line.dropLast().split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false) {
            if part.elementsEqual("\\N".utf8) {
                fields.append(nil)
                continue
            }
            var rest = part
            var field: [UInt8] = []
            while let byte = rest.popFirst() {
                switch byte {
                case UInt8(ascii: "\n"), UInt8(ascii: "\r"): return nil
                case UInt8(ascii: "\\"):
                    let letters: [UInt8: UInt8] = [0x74: 0x09, 0x6E: 0x0A, 0x72: 0x0D, 0x5C: 0x5C]
                    guard let letter = rest.popFirst(), let plain = letters[letter] else { return nil }
                    field.append(plain)
                default: field.append(byte)
                }
            }
            fields.append(field)
        }
        return fields
    }
}
