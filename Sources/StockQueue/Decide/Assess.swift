/// What one job would do to one item: the rules of the actions and policies, in the order in which they are checked.
enum Assessment {
    case apply(onHand: Int64, allocated: Int64, quantity: Int64)
    case unchanged(ResultCode)
    case reject(ResultCode)
    /// Needs this much to be available.
    case wait(Int64)
}

/// Judges one job against one item.
///
/// Every stock and quantity that reaches the arithmetic lies within ± (2^53 − 1), so no sum of three of them overflows
/// an Int64.
///
/// - Parameter availableSeen: what `expected_available` is compared with: the stock before the job's group.
func assess(_ job: ClaimedJob, against stock: ItemState, availableSeen: Int64) -> Assessment {
    let quantity = job.quantity
    if job.isExpired { return .reject(.expired) }
    if !isValid(quantity, for: job.action) { return .reject(.invalidQuantity) }
    if stock.presence == .unknown { return .reject(.unknownItem) }
    if !stock.tracked { return .unchanged(.untracked) }
    if let expected = job.expectedAvailable, expected != availableSeen { return .reject(.stale) }
    switch job.action {
    case .adjust:
        if quantity == 0 { return .unchanged(.noChange) }
        if quantity > 0 { return within(stock.onHand + quantity, stock.allocated, quantity) }
        return draw(-quantity, from: stock, job.onInsufficient) { taken in
            within(stock.onHand - taken, stock.allocated, -taken)
        }
    case .allocate:
        return draw(quantity, from: stock, job.onInsufficient) { taken in
            within(stock.onHand, stock.allocated + taken, taken)
        }
    case .deallocate:
        if stock.allocated < quantity { return .reject(.insufficientAllocation) }
        return within(stock.onHand, stock.allocated - quantity, quantity)
    case .ship:
        if stock.allocated < quantity { return .reject(.insufficientAllocation) }
        return within(stock.onHand - quantity, stock.allocated - quantity, quantity)
    case .set:
        if quantity == stock.onHand { return .unchanged(.noChange) }
        if quantity < stock.allocated && job.onInsufficient != .allow { return .reject(.insufficientStock) }
        return within(quantity, stock.allocated, quantity)
    }
}

/// Right sign and size for the action. A zero `adjust` is not wrong, it changes nothing.
private func isValid(_ quantity: Int64, for action: StockAction) -> Bool {
    guard Quantity.isInRange(quantity) else { return false }
    return switch action {
    case .adjust: true
    case .allocate, .deallocate, .ship: quantity > 0
    case .set: quantity >= 0
    }
}

/// Takes from what is available, by the job's policy when that is too little.
private func draw(
    _ need: Int64, from stock: ItemState, _ policy: InsufficientStockPolicy, _ take: (Int64) -> Assessment
) -> Assessment {
    if stock.available >= need { return take(need) }
    switch policy {
    case .reject: return .reject(.insufficientStock)
    case .allow: return take(need)
    case .partial: return stock.available > 0 ? take(stock.available) : .reject(.insufficientStock)
    case .wait: return .wait(need)
    }
}

private func within(_ onHand: Int64, _ allocated: Int64, _ quantity: Int64) -> Assessment {
    guard Quantity.isInRange(onHand), Quantity.isInRange(allocated), Quantity.isInRange(onHand - allocated) else {
        return .reject(.outOfRange)
    }
    return .apply(onHand: onHand, allocated: allocated, quantity: quantity)
}
