import HTTPServer
import StockFormats
import StockModel

/// The deduction of purchased quantities: an `adjust` job a line, all of them or none.
enum Deduction {
    static func plan(
        _ request: Request, _ access: Access, _ settings: VendorSettings
    ) throws(ProspernaError) -> CallPlan {
        let (duplicateCheck, elements): (DuplicateCheck, [JSONValue])
        do throws(InvalidField) {
            duplicateCheck = try IdempotencyKey(request.head).map { .key($0) } ?? .unguarded
            elements = try Self.elements(request.body, max: settings.linesMax)
        } catch {
            throw ProspernaError(.badRequest, "Not valid: \(error.sentence). Nothing was applied.")
        }
        let lines = try parse(elements)
        let call = StockCall(
            access, lines, isGroup: true, duplicateCheck: duplicateCheck, deadlineMs: settings.deadlineMs)
        return .stock(call) { response(to: $0, lines) }
    }

    private static func elements(_ body: [UInt8], max: Int) throws(InvalidField) -> [JSONValue] {
        guard case .array(let elements) = try JSONBody.read(body) else {
            throw InvalidField(nil, "must be a JSON array of products and quantities")
        }
        guard (1...max).contains(elements.count) else {
            throw InvalidField(nil, "must have 1 to \(max) lines, not \(elements.count)")
        }
        return elements
    }

    private static func parse(_ elements: [JSONValue]) throws(ProspernaError) -> [StockLine] {
        var lines: [StockLine] = []
        var faults: [ProspernaError.Line] = []
        for (index, element) in elements.enumerated() {
            do throws(InvalidField) {
                lines.append(try line(element))
            } catch {
                faults.append(ProspernaError.Line(index, "invalid", error.sentence))
            }
        }
        guard faults.isEmpty else { throw ProspernaError(.badRequest, lines: faults) }
        return lines
    }

    static let productKey = "product_id"
    static let variantKey = "product_variant_combination_id"
    static let quantityKey = "purchased_quantity"

    private static func line(_ element: JSONValue) throws(InvalidField) -> StockLine {
        guard case .object = element else { throw InvalidField("the line", "must be an object") }
        let ids = [try element.identifier(productKey), try element.identifier(variantKey)].compactMap { $0 }
        guard let id = ids.first, ids.count == 1 else {
            throw InvalidField("the line", "must have either \(productKey) or \(variantKey)")
        }
        return StockLine(item: id, .adjust, -(try element.wholeNumber(quantityKey, in: 1...Quantity.max)))
    }

    // MARK: the answer

    static func response(to answer: StockAnswer, _ lines: [StockLine]) -> Response {
        let results: [LineResult]
        switch answer {
        case .failure(.unknownItem(let line)):
            return ProspernaError(.badRequest, lines: [unknownItem(line, lines[line].itemID)]).response
        case .failure(let failure): return ProspernaError(failure).response
        case .success(let value): results = value
        }
        if results.allSatisfy({ $0.outcome == .applied || $0.outcome == .unchanged }) { return updated }
        if results.contains(where: { $0.outcome == .canceled }) { return ProspernaError(.undecided).response }
        guard results.allSatisfy({ $0.outcome == .rejected }) else { return ProspernaError(.internalError).response }
        // The other lines of the group are rejected because of these.
        let causes = results.enumerated().filter { $0.element.code != .groupRejected }.map { index, result in
            ProspernaError.Line(index, result.code?.rawValue ?? "rejected", reason(result))
        }
        return ProspernaError(.badRequest, lines: causes).response
    }

    private static func unknownItem(_ index: Int, _ itemID: String) -> ProspernaError.Line {
        ProspernaError.Line(index, ResultCode.unknownItem.rawValue, "there is no product or variant \(itemID)")
    }

    private static func reason(_ result: LineResult) -> String {
        switch result.code {
        case .unknownItem: return unknownItem(0, result.itemID).message
        case .insufficientStock:
            let available = result.before.map { String($0.available) } ?? "less"
            return "\(result.itemID) has not enough stock: \(available) available before the call"
        case .idempotencyMismatch: return "the Idempotency-Key was used for another request"
        case .outOfRange, .invalidQuantity: return "the stock of \(result.itemID) would be out of range"
        default: return "the line was rejected"
        }
    }

    private static let updated = Response.json(
        .ok, Array(#"{"data":null,"message":"Inventory successfully updated.","statusCode":200}"#.utf8))
}
