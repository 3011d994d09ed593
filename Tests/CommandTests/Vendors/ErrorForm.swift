import Foundation
import TestSupport

/// The form that every error of a vendor has.
enum ErrorForm: Sendable {
    case ecwid, prosperna, elasticPath
    /// Elastic Path's for several locations, where the status is a text.
    case multiLocation
    /// Outside the vendors' paths: any object.
    case plain

    /// What is wrong with an error's body; nil if nothing is.
    func fault(_ answer: RawClient.Answer) -> String? {
        guard let value = try? JSONSerialization.jsonObject(with: Data(answer.body.utf8)),
            let object = value as? [String: Any]
        else { return "no JSON object" }
        switch self {
        case .ecwid:
            let isWhole = object["errorMessage"] is String && object["errorCode"] is String
            return isWhole ? nil : "no errorMessage or no errorCode"
        case .prosperna:
            let isWhole =
                object["statusCode"] as? Int == answer.status && object["error"] as? Bool == true
                && object["message"] is String && object["data"] != nil
            return isWhole ? nil : "not the envelope"
        case .elasticPath, .multiLocation:
            guard let error = (object["errors"] as? [[String: Any]])?.first else { return "no errors" }
            let isStatus =
                self == .elasticPath
                ? error["status"] as? Int == answer.status : error["status"] as? String == "\(answer.status)"
            return isStatus && error["title"] is String ? nil : "not the right status, or no title"
        case .plain: return nil
        }
    }
}
