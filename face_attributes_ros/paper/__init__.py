# SPDX-License-Identifier: Apache-2.0
"""What the paper describes and the product does not ship: networks, proposals, two-stage test."""
