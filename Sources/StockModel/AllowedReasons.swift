/// The reasons that jobs of a queue may have, where it does not allow every one (`set_reasons`).
package struct AllowedReasons: Sendable {
    private let reasons: [String]

    package init(_ reasons: [String]) { self.reasons = reasons }

    /// - Throws: a sentence with the allowed reasons, if `reason` is none of them.
    package func check(_ reason: String?) throws(ValidationError) {
        guard let reason, !reasons.contains(where: { $0.utf8.elementsEqual(reason.utf8) }) else { return }
        throw ValidationError(
            "the reason must be one of \(reasons.joined(separator: ", ")), not '\(ValidationError.shown(reason.utf8))'",
            code: .unknownValue, field: JobField.reason.rawValue)
    }
}
