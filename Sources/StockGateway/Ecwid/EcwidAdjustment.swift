import HTTPServer
import StockFormats
import StockModel

/// `PUT …/inventory`: `{"quantityDelta": -10}` becomes one `adjust` job that may make stock negative.
enum EcwidAdjustment {
    /// What is adjusted.
    enum Target: CaseIterable, Sendable {
        case product, variation

        var pattern: PathPattern { PathPattern("/api/v3/{store}\(relativePattern)") }

        var relativePattern: String {
            switch self {
            case .product: "/products/{product}/inventory"
            case .variation: "/products/{product}/combinations/{combination}/inventory"
            }
        }

        var scopes: Set<Scope> {
            switch self {
            case .product: Self.productScopes
            case .variation: Self.variationScopes
            }
        }

        private static let productScopes: Set<Scope> = [.updateCatalog]
        private static let variationScopes: Set<Scope> = [.readCatalog, .updateCatalog]

        var unknown: EcwidError {
            switch self {
            case .product: .unknownProduct
            case .variation: .unknownCombination
            }
        }
    }

    static let bodyBytesMax = 64 << 10

    static func plan(
        _ target: Target, _ path: PathParameters, _ input: EcwidInput, _ access: Access, deadlineMs: Int
    ) throws(InvalidField) -> CallPlan {
        let body = try JSONBody.object(input.body)
        let delta = try body.wholeNumber("quantityDelta", in: Quantity.range)
        let notifies: Bool
        do { notifies = try Self.notifies(input.query) } catch { throw error.invalidField }
        let itemID = path[target == .product ? "product" : "combination"]
        let duplicateCheck = try input.duplicateCheck()
        guard Identifier.isValid(itemID), Identifier.isValid(path["product"]) else {
            // No item has such a name.
            return .access(access) { answer in
                switch answer {
                case .success: target.unknown.response
                case .failure(let failure): EcwidError(failure, target.unknown).response
                }
            }
        }
        var line = StockLine(item: itemID, .adjust, delta)
        line.onInsufficient = .allow
        line.notify = notifies
        line.role = target == .product ? .product : .variation(of: path["product"])
        let call = StockCall(access, [line], duplicateCheck: duplicateCheck, deadlineMs: deadlineMs)
        return .stock(call) { response(to: $0, target) }
    }

    // MARK: the flag

    static let flagName = "checkLowStockNotification"

    /// Whether a job that makes the item low or runs it out creates a notification. Without the parameter it does not.
    static func notifies(_ query: QueryParameters) throws(EcwidError) -> Bool {
        try EcwidFlag.value(flagName, query) ?? false
    }

    // MARK: the answer

    static func response(to answer: StockAnswer, _ target: Target) -> Response {
        let result: LineResult
        switch answer {
        case .failure(let failure): return EcwidError(failure, target.unknown).response
        case .success(let results):
            guard let first = results.first else { return EcwidError.internalError.response }
            result = first
        }
        switch result.outcome {
        case .applied: return result.warning == .negativeStock ? appliedBelowZero : applied
        case .unchanged: return unchanged
        case .canceled: return EcwidError.undecided.response
        case .failed, .duplicate: return EcwidError.internalError.response
        case .rejected: return rejected(result.code, target).response
        }
    }

    private static func rejected(_ code: ResultCode?, _ target: Target) -> EcwidError {
        switch code {
        case .unknownItem: target.unknown
        case .outOfRange, .invalidQuantity: .wrongParameter("quantityDelta", "the stock would be out of range")
        case .idempotencyMismatch: .idempotencyMismatch
        case .expired: .undecided
        case .untracked, .noChange, .insufficientStock, .insufficientAllocation, .stale, .groupRejected, .groupTooLarge,
            nil:
            .internalError
        }
    }

    private static let applied = Response.json(.ok, Array(#"{"updateCount":1}"#.utf8))
    private static let unchanged = Response.json(.ok, Array(#"{"updateCount":0}"#.utf8))
    private static let appliedBelowZero = Response.json(
        .ok, Array(#"{"updateCount":1,"warning":"Product has negative stock."}"#.utf8))
}

/// The boolean parameters of the API.
enum EcwidFlag {
    private static let yes: Set = ["true", "yes", "on", "1"]
    private static let no: Set = ["false", "no", "off", "0"]

    /// In any case: `True` is what Python sends.
    ///
    /// - Returns: nil without the parameter.
    static func value(_ name: String, _ query: QueryParameters) throws(EcwidError) -> Bool? {
        if query.all.isEmpty { return nil }
        let values = Set(query.values(name).map { $0.lowercased() })
        guard let value = values.first else { return nil }
        if values.count == 1, yes.contains(value) { return true }
        if values.count == 1, no.contains(value) { return false }
        throw .wrongFlag(name)
    }
}

/// `GET …/profile`: what clients ask for to find out whether their token works.
enum EcwidProfile {
    static func plan(_ access: Access) -> CallPlan {
        .access(access) { answer in
            switch answer {
            case .failure(let failure): return EcwidError(failure, .unknownProduct).response
            case .success(let grant):
                var json = JSONWriter()
                json.object { json in
                    json.key("generalInfo")
                    json.object { json in
                        json.key("storeId")
                        // The vendor's stores are numbers; other ids are texts.
                        if let number = Int64(pathText: grant.storeID), String(number) == grant.storeID {
                            json.integer(number)
                        } else {
                            json.string(grant.storeID)
                        }
                    }
                }
                return .json(.ok, json.bytes)
            }
        }
    }
}
