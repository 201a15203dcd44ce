-- What a message takes in one connection, for the forecasts of enotify preflight.

ALTER TABLE enotify.node ADD message_time interval CHECK (message_time > '0');
COMMENT ON COLUMN enotify.node.message_time IS
    'what a message that was taken took in one connection lately, over all sites, opening the connection included; NULL: it has sent none';
